"""Bodies on their way: piece by piece, as fast as the slower side, and whole or visibly cut."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from app.proxy.exchange import SMALL_ANSWER
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import OK

BLOCK = bytes(range(256)) * 256
BIG = 24 * 1024 * 1024
HUGE = 2 * BIG  # more than the sockets on the way ever hold


def test_server_sent_events_arrive_one_by_one(front):
    seen = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(3):
            peer.send(b"data: %d\n\n" % number)
            assert seen.wait(10)
            seen.clear()

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(GET).head()
        for number in range(3):
            assert b"data: %d\n\n" % number in client.read_until(b"\n\n\r\n")
            seen.set()
        assert client.read_until(b"0\r\n\r\n")


def test_the_head_does_not_wait_for_the_body():
    seen = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (SMALL_ANSWER + 1))
        assert seen.wait(10)
        peer.send(bytes(SMALL_ANSWER + 1))

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).head()
        seen.set()
        client.exactly(SMALL_ANSWER + 1)


@pytest.mark.parametrize("cut", [0, 1, SMALL_ANSWER - 1])
def test_a_small_answer_that_comes_in_parts_is_passed_on_whole(front, cut):
    body = BLOCK[:SMALL_ANSWER]

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:cut])
        gevent.sleep(0.02)
        peer.send(body[cut:])

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(GET).head()
        assert client.exactly(len(body)) == body
        assert rig.load(server.url).failures == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_big_body_comes_down_whole(front, chunked):
    framed = b"10000\r\n" + BLOCK + b"\r\n" if chunked else BLOCK
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BIG

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _ in range(BIG // len(BLOCK)):
            peer.send(framed)
        peer.send(b"0\r\n\r\n" if chunked else b"").rest()

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n").head()
        assert client.rest() == BLOCK * (BIG // len(BLOCK))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_big_body_goes_up_whole(front, chunked):
    received: list[bytes] = []

    def serve(peer: Peer) -> None:
        if b"chunked" in peer.head():
            while size := int(peer.read_until(b"\r\n"), 16):
                received.append(peer.exactly(size + 2)[:-2])
            peer.exactly(2)
        else:
            received.extend(peer.exactly(len(BLOCK)) for _ in range(BIG // len(BLOCK)))
        peer.send(OK)

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % BIG
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        for _ in range(BIG // len(BLOCK)):
            client.send(b"10000\r\n" + BLOCK + b"\r\n" if chunked else BLOCK)
        client.send(b"0\r\n\r\n" if chunked else b"")
        assert client.head().startswith(b"HTTP/1.1 200 ")
    assert b"".join(received) == BLOCK * (BIG // len(BLOCK))


def test_a_client_that_does_not_read_holds_the_server_back(front):
    sent = []

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            peer.send(BLOCK)
            sent.append(1)

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(GET).head()
        wait_until(lambda: _stands_still(sent), what="the server held back")
        held = len(sent)
        wait_until(lambda: client.exactly(len(BLOCK)) and len(sent) > held, what="the server let go")
    assert held * len(BLOCK) < HUGE


def test_a_server_that_does_not_read_holds_the_client_back(front):
    sent, go_on = [], Event()

    def serve(peer: Peer) -> None:
        peer.head()
        assert go_on.wait(10)
        for _ in range(HUGE // len(BLOCK)):
            peer.exactly(len(BLOCK))
        peer.send(OK)

    def upload(client: Peer) -> None:
        for _ in range(HUGE // len(BLOCK)):
            client.send(BLOCK)
            sent.append(1)

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(post(b"", length=HUGE))
        uploading = gevent.spawn(upload, client)
        wait_until(lambda: _stands_still(sent), what="the client held back")
        assert len(sent) * len(BLOCK) < HUGE
        go_on.set()
        assert client.head().startswith(b"HTTP/1.1 200 ")
        uploading.get()


def _stands_still(counted: list[int]) -> bool:
    """Something came, and nothing more for many turns of the hub."""
    before = len(counted)
    gevent.sleep(0.2)
    return 0 < before == len(counted)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
)
def test_an_answer_cut_short_is_seen_to_be_cut(answer):
    with (
        Upstream(lambda peer: peer.head() and peer.send(answer)) as server,
        Rig("fast_lane", server.url) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
    assert sum(rig.stats.versions["stable"].failures.values()) == 1


def test_a_malformed_chunk_breaks_the_answer_off():
    seen = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert seen.wait(10)
        peer.send(b"+1\r\nx\r\n0\r\n\r\n").rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).read_until(b"abc")
        seen.set()
        with pytest.raises(ConnectionResetError):
            client.rest()
    assert rig.stats.versions["stable"].failures == {"bad_chunk": 1}


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_a_wsgi_server_sends_no_clean_end_of_a_cut_answer(framing):
    answer = b"HTTP/1.1 200 OK\r\n" + framing
    with (
        Upstream(lambda peer: peer.head() and peer.send(answer)) as server,
        Rig("wsgi", server.url) as rig,
        rig.client() as client,
    ):
        got = client.send(GET).rest()
        rig.comes_to_rest(server.url)
    assert got.endswith((b"abc", b"abc\r\n"))
    assert rig.stats.versions["stable"].failures == {"truncated": 1}
    assert rig.stats.versions["stable"].aborts == 0


def test_a_malformed_body_in_the_first_bytes_is_a_502(front):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
    with (
        Upstream(lambda peer: peer.head() and peer.send(answer).rest()) as server,
        Rig(front, server.url) as rig,
        rig.client() as client,
    ):
        assert client.send(LAST_GET).head().startswith(b"HTTP/1.1 502 ")
        client.socket.close()
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {"bad_chunk": 1}


def test_a_client_that_leaves_during_the_answer_frees_the_server(front):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            peer.send(BLOCK)

    with Upstream(serve) as server, Rig(front, server.url) as rig:
        with rig.client() as client:
            client.send(GET).head()
        rig.comes_to_rest(server.url)
        assert rig.stats.versions["stable"].aborts == 1


def test_a_client_that_leaves_during_its_upload_frees_the_server(front):
    with Upstream(lambda peer: peer.rest()) as server, Rig(front, server.url) as rig:
        with rig.client() as client:
            client.send(post(b"abc", length=BIG))
            wait_until(lambda: server.connections, what="the request at the server")
        rig.comes_to_rest(server.url)


def test_an_answer_that_we_cut_ourselves_is_seen_to_be_cut():
    """It ends with its connection, and that ends by our hand: what the client uploads beside it is malformed."""

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nbegin").rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        client.read_until(b"begin\r\n")
        client.send(b"no size\r\n")
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
        stats = rig.stats.versions["stable"]
        assert (stats.aborts, stats.failures) == (1, {})


@pytest.mark.parametrize("size", [100_000, 4_000_000])
def test_the_end_of_an_upload_does_not_shorten_the_time_of_an_answer_that_has_begun(size):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").exactly(size)
        peer.socket.settimeout(1.2)
        with pytest.raises(TimeoutError):
            peer.some()
        peer.send(b"ok")

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts={"head": 0.3}) as rig,
        rig.client() as client,
    ):
        client.send(post(b"", length=size)).read_until(b"\r\n\r\nok")
        assert client.send(b"x" * size).exactly(2) == b"ok"
