"""Which requests are tried again, and that a collapse is never amplified."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.balance.failure import KINDS, Failure
from app.balance.retry import BURST, FLOOR, IDEMPOTENT, WINDOW, Budget, RetryRule, ShieldRule
from app.balance.styles import _WHOLE, Share
from app.config.model import RetryConfig
from tests.balance.helpers import config

METHODS = [*sorted(IDEMPOTENT), b"POST", b"PATCH", b"QUERY"]
UNSENT, RESET, TIMEOUT = Failure("connect", sent=False), Failure("reset"), Failure("timeout")


@pytest.mark.parametrize(
    ("rule", "method", "failure", "tries", "allowed"),
    [
        (RetryConfig(), b"GET", RESET, 1, True),
        (RetryConfig(), b"DELETE", TIMEOUT, 2, True),
        (RetryConfig(), b"GET", RESET, 3, False),
        (RetryConfig(), b"POST", RESET, 1, False),
        (RetryConfig(), b"POST", UNSENT, 1, True),
        (RetryConfig(), b"POST", Failure(503), 1, False),
        (RetryConfig(), b"GET", Failure(503), 1, True),
        (RetryConfig(), b"GET", Failure(500), 1, False),
        (RetryConfig(on=("5xx",)), b"GET", Failure(500), 1, True),
        (RetryConfig(on=("5xx",)), b"GET", UNSENT, 1, False),
        (RetryConfig(on=()), b"GET", RESET, 1, False),
        (RetryConfig(methods=("POST",)), b"POST", RESET, 1, True),
        (RetryConfig(methods=("POST",)), b"GET", RESET, 1, False),
        (RetryConfig(methods=("POST",)), b"GET", UNSENT, 1, True),
        (RetryConfig(attempts=1), b"GET", UNSENT, 1, False),
    ],
)
def test_who_may_have_another_try(
    rule: RetryConfig, method: bytes, failure: Failure, tries: int, allowed: bool
) -> None:
    assert RetryRule(rule).allows(method, failure, tries) is allowed


def test_pauses_grow_and_are_drawn_from_their_whole_length() -> None:
    rule, rng = RetryRule(RetryConfig(backoff=0.1)), random.Random(1)
    for tries, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (9, 1.6)):
        drawn = [rule.pause(RESET, tries, rng) for _ in range(2000)]
        assert 0 <= min(drawn) < 0.01 * longest
        assert 0.99 * longest < max(drawn) <= longest
        assert abs(sum(drawn) / len(drawn) - longest / 2) < 0.05 * longest
    assert RetryRule(RetryConfig(backoff=None)).pause(RESET, 3, rng) == 0.0
    assert rule.pause(UNSENT, 3, rng) == 0.0


@pytest.mark.parametrize("shield", ["off", "safe", "idempotent"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("has_key", [False, True])
def test_whom_the_shield_covers(shield: str, method: bytes, has_key: bool) -> None:
    covered = {
        "off": False,
        "safe": method in (b"GET", b"HEAD", b"OPTIONS"),
        "idempotent": has_key or method in IDEMPOTENT,
    }
    rule = ShieldRule(config(shield=shield))
    assert rule.covers(method, has_key, RESET) is covered[shield]


def test_the_shield_covers_every_failure_without_an_answer_and_the_statuses_listed() -> None:
    rule = ShieldRule(config(shield_on=("5xx",)))
    assert all(rule.covers(b"GET", False, Failure(kind)) for kind in (*KINDS, 500, 599))
    assert not rule.covers(b"GET", False, Failure(404))
    assert not any(ShieldRule(config()).covers(b"GET", False, Failure(status)) for status in (404, 501, 505))


@pytest.mark.parametrize(("shield", "covered"), [("off", False), ("safe", True), ("idempotent", True)])
def test_what_was_never_sent_may_be_sent_whatever_the_method(shield: str, covered: bool) -> None:
    assert ShieldRule(config(shield=shield)).covers(b"POST", False, UNSENT) is covered


def test_the_floor_is_there_without_any_request() -> None:
    budget = Budget(0.2)
    assert [budget.take(1) for _ in range(FLOOR + 5)] == [True] * FLOOR + [False] * 5


def test_what_was_spent_is_forgotten_after_the_window() -> None:
    budget = Budget(0.0)
    while budget.take(1):
        pass
    for second in range(WINDOW + 1):
        assert budget.take(1) is (second == WINDOW), second
        budget.tick(1)


def test_requests_of_long_ago_buy_nothing() -> None:
    budget = Budget(1.0)
    budget.tick(1_000_000)
    for _ in range(WINDOW):
        budget.tick(1_000_000)
    assert sum(budget.take(1_000_000) for _ in range(100)) == FLOOR


Seconds = list[list[tuple[int, int]]]


def patterns(quietest: int = 0) -> st.SearchStrategy[Seconds]:
    """Seconds, each of moments at which so many requests come and then so many tries fail; few, or all there are."""
    moment = st.tuples(st.integers(0, 300), st.integers(0, 20) | st.just(400))
    second = st.lists(moment, max_size=3).map(lambda moments: [(quietest, 0), *moments])
    return st.lists(second, min_size=1, max_size=40)


def counted(share: float, seconds: Seconds) -> Iterator[tuple[list[int], list[int]]]:
    """The requests and the second tries of each second so far, whenever some have been granted."""
    budget, requests, taken = Budget(share), list[int](), list[int]()
    for moments in seconds:
        requests.append(0)
        taken.append(0)
        for come, fail in moments:
            requests[-1] += come
            taken[-1] += sum(budget.take(sum(requests)) for _ in range(fail))
            yield requests, taken
        budget.tick(sum(requests))


@given(patterns(), st.sampled_from([0.0, 0.1, 0.2, 1.0]))
@settings(deadline=None, max_examples=50)
def test_no_window_has_second_tries_beyond_the_share(seconds: Seconds, share: float) -> None:
    for requests, taken in counted(share, seconds):
        for length in (WINDOW, BURST):
            if taken[-1]:
                assert sum(taken[-length:]) <= max(FLOOR, share * sum(requests[-length:]))


@given(patterns(quietest=12))
@example([[(12, 400)]] * 40)
@example([[(100, 400)]] * 40)
@example([[(12, 400)]] * 20 + [[(300, 400)]] * 20)
@settings(deadline=None, max_examples=50)
def test_all_in_all_servers_never_see_more_than_the_share_on_top(seconds: Seconds) -> None:
    """At any moment since the very first request, if there never was next to nothing to do."""
    for requests, taken in counted(0.2, seconds):
        assert sum(taken) <= max(FLOOR, 0.2 * sum(requests))


@given(
    st.lists(st.integers(0, 500), min_size=30, max_size=30),
    st.integers(0, 2**32),
    st.integers(0, FLOOR),
    st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_a_canary_with_just_the_share_of_the_budget_is_shielded_entirely(
    seconds: list[int], seed: int, under_way: int, well_at_first: bool
) -> None:
    """It fails from the first request or from the tenth second; so many requests are under way at any time."""
    share, budget, requests = Share(random.Random(seed)), Budget(0.2), 0
    late: deque[bool] = deque()
    for second, come in enumerate(seconds):
        for _ in range(come):
            requests += 1
            share.due += _WHOLE // 5
            late.append(share.due >= _WHOLE)
            share.due %= _WHOLE
            if len(late) > under_way and late.popleft() and (second > 10 or not well_at_first):
                assert budget.take(requests, shield=True)
        budget.tick(requests)


def test_the_shield_is_one_ahead_in_all_and_no_more() -> None:
    budget, requests, taken = Budget(0.2), 0, 0
    for _ in range(50):
        requests += 100
        taken += sum(budget.take(requests, shield=True) for _ in range(100))
        budget.tick(requests)
    assert taken == 0.2 * requests + 1


def test_times_with_next_to_nothing_to_do_are_not_paid_for_later() -> None:
    budget, requests = Budget(0.2), 0
    for _ in range(100):
        requests += 5
        for _ in range(5):
            budget.take(requests)
        budget.tick(requests)
    requests += 1000
    assert sum(budget.take(requests) for _ in range(1000)) > 150


def test_what_was_saved_is_not_spent_at_once() -> None:
    budget = Budget(0.2)
    for second in range(1, WINDOW + 1):
        budget.tick(1000 * second)
    assert sum(budget.take(1000 * WINDOW + 500) for _ in range(5000)) == 0.2 * 1500


@given(
    st.integers(50, 1000),
    st.lists(st.integers(1, 50), min_size=1, max_size=400),
    st.sampled_from([0, 1, 100]),
    st.integers(1, 9),
)
@settings(deadline=None, max_examples=50)
def test_what_was_saved_is_lent_and_not_given(
    rate: int, moments: list[int], failures: int, tenths: int
) -> None:
    """Good times, with `failures` in all, end within a second; from then on more than half of all requests fail.

    Up to then a failure after many requests may be one of good times, so that as much is lent anew.
    """
    budget, requests = Budget(0.2), 0
    for second in range(15):
        requests += rate
        for _ in range(failures if second == 7 else 0):
            budget.take(requests)
        budget.tick(requests)
    requests += rate * tenths // 10
    before, taken, due = requests, 0, requests + rate
    for come in moments:
        requests += come
        taken += sum(budget.take(requests) for _ in range(come // 2 + 1))
        assert taken <= max(FLOOR, 0.2 * 3 * rate, 0.2 * (requests - before))
        if requests >= due:
            budget.tick(requests)
            due += rate


def test_a_new_share_holds_at_once() -> None:
    budget = Budget(0.0)
    while budget.take(100):
        pass
    budget.adopt(0.5)
    assert sum(budget.take(100) for _ in range(100)) == 50 - FLOOR


def test_what_a_larger_share_has_allowed_is_not_owed() -> None:
    budget = Budget(1.0)
    for second in range(1, WINDOW + 1):
        for _ in range(100):
            budget.take(100 * second)
        budget.tick(100 * second)
    budget.adopt(0.2)
    for second in range(WINDOW + 1, 2 * WINDOW + 1):
        budget.tick(100 * second)
    assert sum(budget.take(200 * WINDOW + 500) for _ in range(1000)) == 0.2 * 600
