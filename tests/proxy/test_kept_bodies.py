"""Request bodies that a next try needs again: kept while they are small, however they came. Both fronts."""

from __future__ import annotations

import gevent
import pytest

from app.proxy.body_source import SMALL_BODY, BodySource, KeptBody
from app.wire.body import LAST_CHUNK, chunk
from tests.proxy.peer import Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.test_messages import dechunked
from tests.proxy.test_tries import FAULTS, answer, last, stable, versions
from tests.support.processes import wait_until
from tests.support.raw import exchange, request_end

PUT = b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
CHUNKED_PUT = PUT + b"Transfer-Encoding: chunked\r\n\r\n"


def chunked(body: bytes, size: int) -> bytes:
    """A request whose body comes in chunks of that size."""
    chunks = (chunk(body[start : start + size]) for start in range(0, len(body), size))
    return b"".join((CHUNKED_PUT, *chunks, LAST_CHUNK))


def whole(peer: Peer) -> None:
    """Read a chunked body to its end."""
    data = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    while request_end(data) is None:
        data += peer.some()


def body_of(request: bytes) -> bytes:
    body = request.partition(b"\r\n\r\n")[2]
    return dechunked(body) if b"Transfer-Encoding: chunked" in request else body


@pytest.mark.parametrize("method", [b"PUT", b"DELETE"])
def test_a_body_is_kept_for_the_next_try(front, method):
    body = b"x" * SMALL_BODY
    with stable(front, FAULTS["resets"]) as (rig, bad, well):
        for _ in range(2):
            assert exchange(rig.address, last(method, body)).endswith(b"well")
        assert bad.requests == 1
        assert [body_of(request) for request in well.requests] == [body, body]


def test_a_body_that_was_not_kept_cannot_be_sent_again(front):
    with stable(front, FAULTS["503"]) as (rig, bad, well):
        got = {exchange(rig.address, last(b"PUT", b"x" * 70_000))[9:12] for _ in range(2)}
        assert got == {b"200", b"503"}
        assert (bad.requests, len(well.requests)) == (1, 1)


def test_a_body_of_which_nothing_was_sent_may_go_elsewhere(front):
    with stable(front, None) as (rig, _, well):
        for _ in range(2):
            assert exchange(rig.address, last(b"POST", b"x" * 70_000)).endswith(b"well")
        assert [len(body_of(request)) for request in well.requests] == [70_000] * 2


@pytest.mark.parametrize(
    ("length", "size"), [(1, 1), (2000, 1), (SMALL_BODY, 5000), (SMALL_BODY, SMALL_BODY)]
)
@pytest.mark.parametrize("fault", ["resets", "503"])
def test_a_small_body_in_chunks_is_kept(front, fault, length, size):
    def read_and_fail(peer: Peer) -> object:
        whole(peer)
        return FAULTS[fault](peer)

    body = bytes(range(256)) * (length // 256) + b"e" * (length % 256)
    with stable(front, read_and_fail) as (rig, bad, well):
        for _ in range(2):
            assert exchange(rig.address, chunked(body, size)).endswith(b"well")
        assert bad.requests == 1
        assert [body_of(request) for request in well.requests] == [body, body]


def test_a_larger_body_in_chunks_is_not_kept(front):
    def read_and_fail(peer: Peer) -> object:
        whole(peer)
        return FAULTS["503"](peer)

    with stable(front, read_and_fail) as (rig, bad, well):
        got = {exchange(rig.address, chunked(b"x" * (SMALL_BODY + 1), 5000))[9:12] for _ in range(2)}
        assert got == {b"200", b"503"}
        assert (bad.requests, len(well.requests)) == (1, 1)


@pytest.mark.parametrize("fault", ["resets", "503"])
def test_what_is_still_to_come_goes_to_the_next_server(fault):
    """It fails in the middle of the body, of which each byte arrives once and in order."""

    def fail_early(peer: Peer) -> object:
        peer.read_until(b"begin\r\n")
        return FAULTS[fault](peer)

    canary = versions("fast_lane", fail_early, shield="idempotent")
    with canary as (rig, _, well), rig.client() as client:
        client.send(CHUNKED_PUT + chunk(b"begin"))
        wait_until(lambda: well.connections, what="the next try")
        client.send(chunk(b", middle")).send(chunk(b", end") + LAST_CHUNK)
        assert client.rest().endswith(b"well")
        assert [body_of(request) for request in well.requests] == [b"begin, middle, end"]


def test_where_a_read_given_up_may_leave_a_hole_an_early_answer_is_the_answer():
    canary = versions("wsgi", FAULTS["503"], shield="idempotent")
    with canary as (rig, _, well), rig.client() as client:
        client.send(CHUNKED_PUT + chunk(b"begin"))
        client.read_until(b"down")
        assert well.connections == []


def test_a_small_body_that_waits_to_be_asked_for_goes_to_who_asks():
    """A server that refuses by the head alone has had nothing of it."""

    def ask(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(answer(200, peer.exactly(4)))

    with (
        Upstream(ask) as well,
        Upstream(lambda peer: FAULTS["503"](peer) if peer.head() else None) as bad,
        Rig("fast_lane", well.url, canary=[bad.url], ratio=1.0, shield="idempotent") as rig,
        rig.client() as client,
    ):
        client.send(PUT + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n").read_until(
            b"100 Continue\r\n\r\n"
        )
        assert client.send(b"body").rest().endswith(b"\r\n\r\nbody")


class Pieces(BodySource):
    """Pieces that come when they are let."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    def read(self) -> bytes:
        return self._pieces.pop(0)


def test_each_reading_has_all_of_it() -> None:
    body = KeptBody(Pieces(b"ab", b"c"), resumes=False)
    readings = []
    for reads in (1, 2, 5, 5):
        readings.append(b"".join(body.read() for _ in range(reads)))
        assert body.kept
        body.rewind()
    assert readings == [b"ab", b"abc", b"abc", b"abc"]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_reading_given_up_leaves_it_kept_only_if_nothing_can_be_missing(resumes: bool) -> None:
    class Slow(BodySource):
        def read(self) -> bytes:
            gevent.sleep(20)
            return b""

    body = KeptBody(Slow(), resumes=resumes)
    gevent.spawn(body.read).kill(timeout=20)
    gevent.idle()
    reading = gevent.spawn(body.read)
    gevent.idle()
    reading.kill(timeout=20)
    assert body.kept is resumes
