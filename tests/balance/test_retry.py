"""Which requests are tried again, and that a collapse is never amplified."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.failure import KINDS, Failure
from app.balance.retry import BURST, FLOOR, IDEMPOTENT, WINDOW, Budget, RetryRule, ShieldRule
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
        drawn = [rule.pause(tries, rng) for _ in range(2000)]
        assert 0 <= min(drawn) < 0.01 * longest
        assert 0.99 * longest < max(drawn) <= longest
        assert abs(sum(drawn) / len(drawn) - longest / 2) < 0.05 * longest
    assert RetryRule(RetryConfig(backoff=None)).pause(3, rng) == 0.0


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


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
)
@settings(deadline=None)
def test_no_window_ends_in_a_second_try_beyond_the_share(
    seconds: list[tuple[int, int]], share: float
) -> None:
    """Each second so many requests come, and so many of the tries fail."""
    budget, requests, taken = Budget(share), 0, list[int]()
    for come, fail in seconds:
        requests += come
        taken.append(sum(budget.take(requests) for _ in range(fail)))
        budget.tick(requests)
    for end in (second + 1 for second, tries in enumerate(taken) if tries):
        for length in (WINDOW, BURST):
            begin = max(0, end - length)
            offered = sum(come for come, _ in seconds[begin:end])
            assert sum(taken[begin:end]) <= share * offered + FLOOR


def test_what_was_saved_is_not_spent_at_once() -> None:
    budget = Budget(0.2)
    for second in range(1, WINDOW + 1):
        budget.tick(1000 * second)
    assert sum(budget.take(1000 * WINDOW + 500) for _ in range(5000)) == 0.2 * 1500 + FLOOR


def test_a_new_share_holds_at_once() -> None:
    budget = Budget(0.0)
    while budget.take(100):
        pass
    budget.share = 0.5
    assert sum(budget.take(100) for _ in range(100)) == 50
