"""Whatever a server does wrong: what its clients see when it is alone, beside others, or the canary; and the counters.

Each fault is told three times, through both fronts. Alone: the client sees the error, or a connection cut off.
One of three: nobody sees it, and it is ejected. The canary: nobody sees it, and all of it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import gevent
import pytest
from gevent import socket

from app.config.model import HealthConfig, OutlierConfig, RetryConfig
from tests.proxy.peer import LAST_GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.processes import free_port
from tests.support.raw import OK, RecordingServer, exchange

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"a part"
FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfail"
LIMITS = {"head": 0.2, "connect": 0.2, "upstream_idle": 0.3}


class Fault(NamedTuple):
    """`serve`: one connection to the server; None: nobody listens. `counted`: the reason, or the class of the status.

    `alone`: the status that a client gets when there is no other server, 0 for an answer that is cut off.
    `begun`: the client has seen a part by then, so that no other server can answer.
    """

    serve: Callable[[Peer], object] | None
    alone: int
    counted: str
    begun: bool = False


def drip(peer: Peer) -> None:
    """An answer that is right in each byte, and never ends."""
    peer.head()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.send(b"A: b\r\n")
        gevent.sleep(0.05)


def cut(sent: bytes, end: Callable[[Peer], object] = Peer.__exit__) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(sent)
        gevent.sleep(0.01)  # a reset must not overtake what was sent
        end(peer)

    return serve


FAULTS = {
    "refuses": Fault(None, 503, "refused"),
    "accepts and hangs": Fault(lambda peer: peer.rest(), 504, "timeout"),
    "closes without a word": Fault(lambda peer: peer.head(), 502, "closed"),
    "resets before the head": Fault(lambda peer: peer.head() and peer.reset(), 502, "reset"),
    "resets within the head": Fault(cut(b"HTTP/1.1 200 OK\r\nA: ", Peer.reset), 502, "reset"),
    "ends within the head": Fault(cut(b"HTTP/1.1 200 OK\r\nA: "), 502, "closed_in_head"),
    "resets after the head": Fault(cut(WHOLE[:-5], Peer.reset), 502, "reset"),
    "resets within the body": Fault(cut(WHOLE[:-1], Peer.reset), 502, "reset"),
    "ends within the body": Fault(cut(WHOLE[:-1]), 502, "truncated"),
    "falls silent within the body": Fault(
        lambda peer: peer.head() and peer.send(WHOLE[:-1]).rest(), 504, "timeout"
    ),
    "resets within a long body": Fault(cut(LONG, Peer.reset), 0, "reset", begun=True),
    "ends within a long body": Fault(cut(LONG), 0, "truncated", begun=True),
    "falls silent within a long body": Fault(
        lambda peer: peer.head() and peer.send(LONG).rest(), 0, "timeout", begun=True
    ),
    "trickles its head": Fault(drip, 504, "timeout"),
    "answers garbage": Fault(
        lambda peer: peer.head() and peer.send(b"\0\1\2 nonsense\r\n"), 502, "bad_status_line"
    ),
    "speaks another protocol": Fault(
        lambda peer: peer.send(b"SSH-2.0-x\r\n") and peer.rest(), 502, "bad_status_line"
    ),
    "answers in two ways": Fault(
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        502,
        "length_and_coding",
    ),
    "says 503": Fault(lambda peer: peer.head() and peer.send(FAILED), 503, "5xx"),
}


@contextmanager
def faulty(fault: Fault) -> Iterator[str]:
    """The server's URL."""
    if fault.serve is None:
        yield f"http://127.0.0.1:{free_port()}"
        return
    with Upstream(fault.serve) as server:
        yield server.url


def seen(rig: Rig) -> tuple[int, bytes]:
    """The status that a client sees, and the body; 0 when the connection ends within the answer, or before."""
    with rig.client() as client:
        client.send(LAST_GET)
        try:
            answer = client.rest()
        except ConnectionResetError:
            return 0, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or b"-1")
    return (int(answer[9:12]), body) if len(body) == length else (0, b"")


def counted(rig: Rig, version: str) -> dict[str, int]:
    """First tries that went wrong."""
    figures = rig.stats.versions[version]
    statuses = {"5xx": figures.answered[5]} if figures.answered[5] else {}
    return figures.failures | statuses


@pytest.mark.parametrize("name", FAULTS)
def test_alone(front, name):
    fault = FAULTS[name]
    with faulty(fault) as url, Rig(front, url, timeouts=LIMITS) as rig:
        assert seen(rig)[0] == fault.alone
        assert counted(rig, "stable") == {fault.counted: 1}
        assert rig.stats.tries == {"retry": 0, "shield": 0, "rescue": 0, "over_budget": 0}
        rig.comes_to_rest(url)


@pytest.mark.parametrize("name", FAULTS)
def test_one_of_three(front, name):
    """Two failures suffice here to be ejected."""
    fault = FAULTS[name]
    with ExitStack() as stack:
        well = [stack.enter_context(RecordingServer(WHOLE)) for _ in range(2)]
        url = stack.enter_context(faulty(fault))
        settings = {
            "outlier": OutlierConfig(consecutive=2),
            "retry": RetryConfig(backoff=None),
            "timeouts": LIMITS,
        }
        rig = stack.enter_context(Rig(front, url, *(server.url for server in well), **settings))
        answers = [seen(rig) for _ in range(12)]
        assert answers.count((0, b"")) == (2 if fault.begun else 0)
        assert set(answers) - {(0, b"")} == {(200, b"whole")}
        assert counted(rig, "stable") == {fault.counted: 2}
        assert rig.stats.versions["stable"].spared["retry"] == (0 if fault.begun else 2)
        assert rig.load(url).ejected
        assert len(well[0].requests) + len(well[1].requests) == (10 if fault.begun else 12)
        rig.comes_to_rest(url)


@pytest.mark.parametrize("name", FAULTS)
def test_the_canary(front, name):
    fault = FAULTS[name]
    with (
        RecordingServer(WHOLE) as stable,
        faulty(fault) as url,
        Rig(front, stable.url, canary=[url], ratio=0.5, timeouts=LIMITS) as rig,
    ):
        answers = [seen(rig) for _ in range(2)]
        assert answers.count((0, b"")) == (1 if fault.begun else 0)
        assert set(answers) - {(0, b"")} == {(200, b"whole")}
        assert counted(rig, "canary") == {fault.counted: 1}
        assert counted(rig, "stable") == {}
        assert rig.stats.versions["stable"].answered[2] == 1
        assert rig.stats.versions["canary"].spared["shield"] == (0 if fault.begun else 1)
        rig.comes_to_rest(url)


def test_a_server_that_trickles_its_body_is_slow_and_no_more(front):
    def serve(peer: Peer) -> None:
        peer.head()
        for byte in WHOLE:
            peer.send(bytes([byte]))
            gevent.sleep(0.002)

    with Upstream(serve) as server, Rig(front, server.url, timeouts=LIMITS | {"head": 5.0}) as rig:
        assert seen(rig) == (200, b"whole")
        assert counted(rig, "stable") == {}


def test_a_server_that_closes_idle_connections_at_once_costs_nobody(front):
    with Upstream(lambda peer: peer.head() and peer.send(OK)) as server, Rig(front, server.url) as rig:
        assert [seen(rig) for _ in range(10)] == [(200, b"ok")] * 10
        assert counted(rig, "stable") == {}


def test_a_server_that_fails_half_the_time_is_ejected_by_its_rate(front):
    answers = iter([FAILED, WHOLE] * 100)
    with (
        RecordingServer(lambda _request: next(answers)) as flaky,
        RecordingServer(WHOLE) as well,
        Rig(front, flaky.url, well.url, outlier=OutlierConfig(rate=0.5, min_requests=8)) as rig,
    ):
        assert {seen(rig) for _ in range(40)} == {(200, b"whole")}
        assert rig.load(flaky.url).ejected
        assert len(flaky.requests) == 9  # the first of eight, and the next failure, tell


def test_a_server_that_has_no_sockets_left_takes_no_connection(front):
    """It neither accepts nor refuses: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as held:
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            RecordingServer(WHOLE) as well,
            Rig(front, url, well.url, timeouts=LIMITS, outlier=OutlierConfig(consecutive=1)) as rig,
        ):
            assert {seen(rig) for _ in range(6)} == {(200, b"whole")}
            assert counted(rig, "stable") == {"connect_timeout": 1}


def test_a_server_that_comes_back_is_served_again(front):
    health = HealthConfig("/", interval=0.05, rise=1, fall=1, slow_start=None)
    answers = [FAILED]
    with RecordingServer(lambda _request: answers[0]) as server, Rig(front, server.url, health=health) as rig:
        while not rig.load(server.url).down:
            gevent.sleep(0.01)
        assert exchange(rig.address, LAST_GET).startswith(b"HTTP/1.1 503 ")
        answers[0] = WHOLE
        while rig.load(server.url).down:
            gevent.sleep(0.01)
        assert seen(rig) == (200, b"whole")
