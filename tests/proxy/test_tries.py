"""Requests whose first try failed: retries, the shield, and what is never repeated. Both fronts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import pytest

from app.config.model import OutlierConfig, Override, RetryConfig
from app.proxy.exchange import SMALL_ANSWER
from app.proxy.stats import VersionStats
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.test_servers import error_of
from tests.support.processes import free_port, wait_until
from tests.support.raw import RecordingServer, exchange

NO_EJECTION = OutlierConfig(consecutive=None, rate=None)


def answer(status: int, text: bytes = b"", *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(text), text)


def last(method: bytes, body: bytes = b"", *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    head = b"%b / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%bContent-Length: %d\r\n\r\n"
    return head % (method, lines, len(body)) + body


class Faulty(Upstream):
    """Reads each request and then does what is wrong with it; counts the requests."""

    def __init__(self, fault: Callable[[Peer], object]) -> None:
        super().__init__(self._one)
        self._fault = fault
        self.requests = 0

    def _one(self, peer: Peer) -> None:
        while head := peer.head():
            length = re.search(rb"(?i)content-length: (\d+)", head)
            peer.exactly(int(length[1]) if length else 0)
            self.requests += 1
            if not self._fault(peer):
                return


def saying(data: bytes) -> Callable[[Peer], object]:
    return lambda peer: peer.send(data)


FAULTS: dict[str, Callable[[Peer], object]] = {
    "closes": lambda _peer: None,
    "resets": lambda peer: peer.reset(),
    "half a head": lambda peer: peer.send(b"HTTP/1.1 200 OK\r\nX-Leaked: 1\r\n") and None,
    "garbage": lambda peer: peer.send(b"SSH-2.0\r\n") and None,
    "hangs": lambda peer: peer.rest(),
    "503": saying(answer(503, b"down", b"X-Leaked: 1", b"Set-Cookie: leaked=1")),
    "503 of no certain length": lambda peer: (
        peer.send(b"HTTP/1.1 503 X\r\nX-Leaked: 1\r\n\r\nleaked") and None
    ),
}


@contextmanager
def stable(
    front: str, fault: Callable[[Peer], object] | None, good: bytes | None = None, **config: Any
) -> Iterator[tuple[Rig, Any, RecordingServer]]:
    """Two stable servers: what is wrong with one of them (None: nobody listens), the other one is well."""
    with ExitStack() as stack:
        bad: Any = stack.enter_context(Faulty(fault)) if fault else None
        well = stack.enter_context(RecordingServer(good or answer(200, b"well")))
        bad_url = bad.url if bad else f"http://127.0.0.1:{free_port()}"
        rig = stack.enter_context(Rig(front, bad_url, well.url, outlier=NO_EJECTION, **config))
        yield rig, bad, well


def figures(rig: Rig, version: str = "stable") -> VersionStats:
    return rig.stats.versions[version]


@pytest.mark.parametrize("fault", FAULTS)
def test_another_server_answers_for_one_that_fails(front, fault):
    with stable(front, FAULTS[fault], timeouts={"head": 0.3}) as (rig, bad, well):
        for _ in range(4):
            got = exchange(rig.address, last(b"GET"))
            assert got.startswith(b"HTTP/1.1 200 ")
            assert got.endswith(b"\r\n\r\nwell")
            assert b"leaked" not in got.lower()
        assert (bad.requests, len(well.requests)) == (2, 4)
        assert figures(rig).spared == {"retry": 2, "shield": 0, "rescue": 0}
        assert rig.stats.tries["retry"] == 2
        assert sum(figures(rig).failures.values()) + figures(rig).answered[5] == 2
        assert figures(rig).answered[2] == 2
        rig.comes_to_rest(bad.url)
        rig.comes_to_rest(well.url)


def test_another_server_answers_for_one_that_is_not_there(front):
    with stable(front, None) as (rig, _, well):
        for method in (b"GET", b"POST", b"GET", b"PATCH"):
            assert exchange(rig.address, last(method, b"body")).endswith(b"well")
        assert len(well.requests) == 4
        assert figures(rig).failures == {"refused": 2}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
def test_what_a_server_may_have_acted_on_is_not_repeated(front, fault, method):
    with stable(front, FAULTS[fault], timeouts={"head": 0.3}) as (rig, bad, well):
        got = [exchange(rig.address, last(method, b"body"))[9:12] for _ in range(4)]
        assert got.count(b"200") == 2
        assert (bad.requests, len(well.requests)) == (2, 2)
        assert figures(rig).spared["retry"] == 0


def test_the_last_answer_is_the_answer_when_all_fail(front):
    with (
        RecordingServer(answer(503, b"one")) as one,
        RecordingServer(answer(503, b"two")) as two,
        Rig(front, one.url, two.url, outlier=NO_EJECTION) as rig,
    ):
        assert exchange(rig.address, last(b"GET")).startswith(b"HTTP/1.1 503 ")
        assert len(one.requests) == len(two.requests) == 1  # each time another server, and there are two
        assert figures(rig).spared["retry"] == 0
        assert figures(rig).answered[5] == 1


def test_an_answer_is_better_than_none(front):
    """The 503 of a server that is there, and not ours for one that is not."""
    with (
        RecordingServer(answer(503, b"come back later")) as one,
        Rig(front, one.url, f"http://127.0.0.1:{free_port()}", outlier=NO_EJECTION) as rig,
    ):
        for _ in range(2):
            assert exchange(rig.address, last(b"GET")).endswith(b"come back later")
        rig.comes_to_rest(one.url)


def test_a_request_is_tried_so_often_and_no_more(front):
    with ExitStack() as stack:
        servers = [stack.enter_context(Faulty(FAULTS["resets"])) for _ in range(5)]
        urls = [server.url for server in servers]
        retry = RetryConfig(attempts=3)
        rig = stack.enter_context(Rig(front, *urls, outlier=NO_EJECTION, retry=retry))
        assert error_of(exchange(rig.address, last(b"GET"))) == (b"502", b"reset")
        assert sorted(server.requests for server in servers) == [0, 0, 1, 1, 1]
        assert figures(rig).failures == {"reset": 1}


def test_once_an_answer_has_begun_it_is_not_replaced():
    begun = answer(200, bytes(SMALL_ANSWER) + b"whole").removesuffix(b"e")
    with stable("fast_lane", lambda peer: peer.send(begun) and None) as (rig, bad, well):
        got = sorted(exchange(rig.address, last(b"GET"))[-4:] for _ in range(2))
        assert set(got) == {b"whol", b"well"}
        assert (bad.requests, len(well.requests)) == (1, 1)
        assert figures(rig).failures == {"truncated": 1}


def test_a_small_answer_that_is_cut_is_replaced(front):
    """The client has seen nothing of it."""
    with stable(front, lambda peer: peer.send(answer(200, b"whole").removesuffix(b"e")) and None) as rigged:
        rig, bad, well = rigged
        assert all(exchange(rig.address, last(b"GET")).endswith(b"well") for _ in range(2))
        assert (bad.requests, len(well.requests)) == (1, 2)
        assert figures(rig).failures == {"truncated": 1}


def test_a_server_that_ends_within_a_small_answer_to_a_post_is_told_of(front):
    """It may have done what it was asked: nobody may ask again."""
    with stable(front, lambda peer: peer.send(answer(200, b"whole").removesuffix(b"e")) and None) as rigged:
        rig, bad, well = rigged
        got = sorted(exchange(rig.address, last(b"POST")) for _ in range(2))
        assert got[0].endswith(b"well")
        assert got[1].startswith(b"HTTP/1.1 502 ")
        assert (bad.requests, len(well.requests)) == (1, 1)


def test_after_an_interim_answer_there_is_no_other_try():
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with stable("fast_lane", saying(hint + answer(503, b"down"))) as (rig, bad, well):
        got = [exchange(rig.address, last(b"GET")) for _ in range(2)]
        assert sum(each.startswith(b"HTTP/1.1 103") and each.endswith(b"down") for each in got) == 1
        assert (bad.requests, len(well.requests)) == (1, 1)


def test_a_try_that_may_be_followed_is_given_up_sooner(front):
    retry = RetryConfig(try_timeout=0.1)
    with stable(front, FAULTS["hangs"], retry=retry) as (rig, _bad, _well):
        for _ in range(2):
            assert exchange(rig.address, last(b"GET")).endswith(b"well")
        assert figures(rig).failures == {"timeout": 1}


def test_the_last_try_has_all_its_time(front):
    """One server alone: nobody could follow."""

    def slow(peer: Peer) -> object:
        gevent.sleep(1.2)
        return peer.send(answer(200, b"at last"))

    with Faulty(slow) as server, Rig(front, server.url, retry=RetryConfig(try_timeout=0.05)) as rig:
        assert exchange(rig.address, last(b"GET")).endswith(b"at last")


def test_the_whole_request_has_its_time_and_no_more(front):
    timeouts = {"head": 0.3, "request": 0.4}
    with ExitStack() as stack:
        servers = [stack.enter_context(Faulty(FAULTS["hangs"])) for _ in range(6)]
        urls = [server.url for server in servers]
        retry = RetryConfig(attempts=6)
        rig = stack.enter_context(Rig(front, *urls, timeouts=timeouts, retry=retry, outlier=NO_EJECTION))
        assert error_of(exchange(rig.address, last(b"GET"))) == (b"504", b"timeout")
        assert sum(server.requests for server in servers) <= 3


def test_the_budget_ends_what_would_never_end(front):
    with stable(front, FAULTS["503"], retry=RetryConfig(budget=0.0, backoff=None)) as (rig, _, _well):
        got = [exchange(rig.address, last(b"GET"))[9:12] for _ in range(60)]
        assert (got.count(b"503"), rig.stats.tries["retry"]) == (10, 20)
        assert rig.stats.tries["over_budget"] == 10


@contextmanager
def versions(
    front: str, fault: Callable[[Peer], object] | None, **config: Any
) -> Iterator[tuple[Rig, Any, RecordingServer]]:
    """A canary that gets everything and what is wrong with it (None: nobody listens), and a stable that is well."""
    with ExitStack() as stack:
        bad: Any = stack.enter_context(Faulty(fault)) if fault else None
        well = stack.enter_context(RecordingServer(answer(200, b"well")))
        url = bad.url if bad else f"http://127.0.0.1:{free_port()}"
        config = {"ratio": 1.0, **config}
        yield stack.enter_context(Rig(front, well.url, canary=[url], **config)), bad, well


@pytest.mark.parametrize("fault", FAULTS)
def test_stable_answers_for_a_canary_that_fails(front, fault):
    with versions(front, FAULTS[fault], timeouts={"head": 0.3}) as (rig, bad, well):
        for method in (b"GET", b"HEAD", b"OPTIONS"):
            got = exchange(rig.address, last(method))
            assert got.startswith(b"HTTP/1.1 200 ")
            assert b"leaked" not in got.lower()
        assert (bad.requests, len(well.requests)) == (3, 3)
        canary = figures(rig, "canary")
        assert sum(canary.failures.values()) + canary.answered[5] == 3
        assert canary.spared == {"retry": 0, "shield": 3, "rescue": 0}
        # What became of it is the canary's business alone.
        assert (sum(figures(rig).answered), figures(rig).failures, figures(rig).seconds) == (0, {}, 0)
        rig.comes_to_rest(bad.url)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_stable_answers_for_a_canary_that_is_not_there(front, method):
    with versions(front, None) as (rig, _, well):
        assert exchange(rig.address, last(method, b"body")).endswith(b"well")
        assert figures(rig, "canary").failures == {"refused": 1}
        assert len(well.requests) == 1


KEY = b"Idempotency-Key: 1"


@pytest.mark.parametrize(
    ("shield", "method", "fields", "spared"),
    [
        ("off", b"GET", (), False),
        ("safe", b"GET", (), True),
        ("safe", b"PUT", (), False),
        ("safe", b"POST", (KEY,), False),
        ("idempotent", b"PUT", (), True),
        ("idempotent", b"POST", (), False),
        ("idempotent", b"POST", (KEY,), True),
    ],
)
def test_whom_the_shield_covers(front, shield, method, fields, spared):
    with versions(front, FAULTS["503"], shield=shield) as (rig, bad, well):
        got = exchange(rig.address, last(method, b"body", *fields))
        assert (got[9:12], len(well.requests)) == ((b"200", 1) if spared else (b"503", 0))
        assert bad.requests == 1
        assert figures(rig, "canary").spared["shield"] == spared


@pytest.mark.parametrize(("status", "covered"), [(500, True), (501, False), (404, False), (418, True)])
def test_which_answers_the_shield_takes_for_failures(front, status, covered):
    shield_on = (500, 418) if status == 418 else (500, 502, 503, 504)
    with versions(front, saying(answer(status, b"canary")), shield_on=shield_on) as (rig, _, _well):
        assert exchange(rig.address, last(b"GET")).endswith(b"well" if covered else b"canary")


def test_stable_has_no_shield(front):
    with (
        RecordingServer(answer(500, b"stable")) as bad,
        RecordingServer() as canary,
        Rig(front, bad.url, canary=[canary.url], ratio=0.0) as rig,
    ):
        assert exchange(rig.address, last(b"GET")).endswith(b"stable")
        assert canary.requests == []


def test_who_asks_for_the_canary_sees_what_it_does(front):
    overrides = (Override("header", "X-Canary", None, "canary"),)
    with versions(front, FAULTS["503"], overrides=overrides) as (rig, _, well):
        assert exchange(rig.address, last(b"GET", b"", b"X-Canary: 1")).endswith(b"down")
        assert well.requests == []


def test_the_shield_goes_on_to_another_stable_server(front):
    with (
        Faulty(FAULTS["503"]) as bad,
        Faulty(FAULTS["resets"]) as worse,
        RecordingServer(answer(200, b"well")) as well,
        Rig(front, worse.url, well.url, canary=[bad.url], ratio=1.0, outlier=NO_EJECTION) as rig,
    ):
        for _ in range(10):
            assert exchange(rig.address, last(b"GET")).endswith(b"well")
        assert worse.requests > 0
        assert figures(rig, "canary").spared["shield"] == 10


def test_a_visitor_who_is_shielded_keeps_an_id(front):
    with versions(front, FAULTS["503"], sticky_sessions=True) as (rig, _, _well):
        got = exchange(rig.address, last(b"GET"))
        assert got.count(b"Set-Cookie: serin=") == 1
        assert b"leaked" not in got


def test_a_client_that_leaves_is_not_tried_for_again():
    """It leaves while the first try hangs."""
    with (
        Faulty(FAULTS["hangs"]) as bad,
        RecordingServer() as well,
        Rig("fast_lane", well.url, canary=[bad.url], ratio=1.0) as rig,
    ):
        with rig.client() as client:
            client.send(GET)
            wait_until(lambda: bad.requests, what="the first try")
            client.reset()
        rig.comes_to_rest(bad.url)
        assert well.requests == []
        assert figures(rig, "canary").aborts == 1


def test_servers_that_fail_are_ejected_by_what_requests_see(front):
    with (
        Faulty(FAULTS["resets"]) as bad,
        RecordingServer(answer(200, b"well")) as well,
        Rig(
            front, bad.url, well.url, outlier=OutlierConfig(consecutive=3), retry=RetryConfig(backoff=None)
        ) as rig,
    ):
        for _ in range(20):
            assert exchange(rig.address, last(b"GET")).endswith(b"well")
        assert bad.requests == 3
        assert rig.load(bad.url).ejected


@pytest.mark.parametrize("status", [500, 404])
def test_only_5xx_speak_against_a_server(front, status):
    with (
        RecordingServer(answer(status)) as bad,
        RecordingServer() as well,
        Rig(front, bad.url, well.url, outlier=OutlierConfig(consecutive=3)) as rig,
    ):
        for _ in range(10):
            exchange(rig.address, LAST_GET)
        assert rig.load(bad.url).ejected is (status == 500)


def test_a_body_cut_off_speaks_against_a_server():
    begun = answer(200, b"whole").removesuffix(b"e")
    with (
        Faulty(lambda peer: peer.send(begun) and None) as bad,
        RecordingServer() as well,
        Rig("fast_lane", bad.url, well.url, outlier=OutlierConfig(consecutive=2)) as rig,
    ):
        for _ in range(6):
            exchange(rig.address, LAST_GET)
        assert bad.requests == 2
        assert rig.load(bad.url).ejected


def test_a_success_between_failures_speaks_for_a_server(front):
    answers = iter([answer(500), answer(500), answer(200)] * 10)
    with (
        RecordingServer(lambda _request: next(answers)) as bad,
        Rig(front, bad.url, outlier=OutlierConfig(consecutive=3, rate=None, max_ejected=1.0)) as rig,
    ):
        for _ in range(30):
            exchange(rig.address, LAST_GET)
        assert not rig.load(bad.url).ejected


def test_a_request_of_http_1_0_names_each_server_itself(front):
    with stable(front, FAULTS["resets"]) as (rig, _, well):
        for _ in range(2):
            exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n")
        assert all(b"\r\nHost: %b\r\n" % well.url[7:].encode() in request for request in well.requests)


def test_each_try_carries_the_same_request_id(front):
    heads: list[bytes] = []
    with (
        Upstream(lambda peer: heads.append(peer.head())) as bad,
        RecordingServer() as well,
        Rig(front, bad.url, well.url, outlier=NO_EJECTION) as rig,
    ):
        for _ in range(2):
            exchange(rig.address, LAST_GET)
    (first,) = [request_id(head) for head in heads]
    assert [request_id(request) for request in well.requests].count(first) == 1


def request_id(head: bytes) -> bytes:
    found = re.search(rb"X-Request-ID: (\S+)", head)
    assert found
    return found[1]
