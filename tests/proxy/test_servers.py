"""What servers do wrong, and what their clients then see."""

from __future__ import annotations

import contextlib
import re

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.processes import free_port, wait_until
from tests.support.raw import OK, RecordingServer, exchange

GARBAGE = {
    "not HTTP": (b"SSH-2.0\r\n", "bad_status_line"),
    "both framings": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "length_and_coding",
    ),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "bad_length"),
    "obs-fold": (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "obs_fold"),
    "head too large": (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "head_too_large"),
    "an upgrade nobody asked for": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "unasked_upgrade"),
    "nothing": (b"", "closed"),
    "half a head": (b"HTTP/1.1 200 OK\r\nA: b", "closed_in_head"),
}


def error_of(answer: bytes) -> tuple[bytes, bytes]:
    """Status and reason in an error of ours, which carries a request id and no address."""
    found = re.search(
        rb"HTTP/1\.1 ([0-9]+) [^\r]*\r\n.*\r\n\r\n[^(]*\((\w+)\)\nrequest id: \S+\n$", answer, re.DOTALL
    )
    assert found, answer
    assert b"127.0.0.1" not in answer
    return found[1], found[2]


@pytest.mark.parametrize(("answer", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_a_502(front, answer, reason):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(answer)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.rest()

    with Upstream(serve) as server, Rig(front, server.url) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", reason.encode())
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {reason: 1}


def test_a_reset_is_a_502(front):
    with Upstream(lambda peer: peer.head() and peer.reset()) as server, Rig(front, server.url) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"reset")


def test_a_refused_connection_is_a_503(front):
    with Rig(front, f"http://127.0.0.1:{free_port()}") as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"503", b"refused")


def test_an_unknown_name_is_a_502(front, caplog):
    with Rig(front, "http://no-such-host.invalid") as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"name_not_found")


def test_no_server_is_a_503(front):
    with Rig(front) as rig:
        answer = exchange(rig.address, LAST_GET)
    assert error_of(answer) == (b"503", b"no_server")
    assert b"\r\nRetry-After: 1\r\n" in answer


def test_a_server_that_is_silent_is_a_504(front):
    with (
        Upstream(lambda peer: peer.rest()) as server,
        Rig(front, server.url, timeouts={"head": 0.2}) as rig,
    ):
        assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"timeout")
        rig.comes_to_rest(server.url)


def test_a_server_that_does_not_take_the_connection_is_a_504(front):
    """A listener whose queue is full leaves the handshake hanging."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        held = [_connecting(address) for _ in range(3)]
        with Rig(front, f"http://127.0.0.1:{address[1]}", timeouts={"connect": 0.2}) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"connect_timeout")
        for sock in held:
            sock.close()


def _connecting(address: tuple[str, int]) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock


def test_a_server_that_falls_silent_in_its_answer_is_cut_off():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc"
    with (
        Upstream(lambda peer: peer.head() and peer.send(answer).rest()) as server,
        Rig("fast_lane", server.url, timeouts={"upstream_idle": 0.2}) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_the_whole_request_may_have_a_limit():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            peer.send(b"x")
            gevent.sleep(0.05)

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts={"request": 0.3}) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_after_an_error_the_client_may_ask_again(front):
    answers = iter([None, OK])
    with (
        RecordingServer(lambda _request: next(answers)) as server,
        Rig(front, server.url) as rig,
        rig.client() as client,
    ):
        assert client.send(GET).head().startswith(b"HTTP/1.1 502 ")
        client.read_until(b"request id: ")
        client.read_until(b"\n")
        assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("later", [False, True])
def test_bytes_after_an_answer_never_reach_anybody(front, later):
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK if later else OK + evil)
        if later:
            gevent.sleep(0)
            peer.send(evil)
        peer.rest()

    with Upstream(serve) as server, Rig(front, server.url) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
        if later:
            wait_until(lambda: not rig.load(server.url).pool.take(), what="the connection dropped")
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
    assert server.connections == 2


CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
REQUESTS = {"get": GET, "post": post(b"abc"), "long post": post(b"x" * 100_000), "chunked": CHUNKED_POST}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_server_that_closes_idle_connections_costs_no_client_an_error(front, request_):
    """Each connection closes right after one answer, in the very turn of the hub in which it is lent again."""

    def serve(peer: Peer) -> None:
        head = peer.head()
        if b"Content-Length" in head:
            peer.exactly(len(request_.partition(b"\r\n\r\n")[2]))
        elif b"chunked" in head:
            peer.read_until(b"0\r\n\r\n")
        peer.send(OK)

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(50):
            assert client.send(request_).head().startswith(b"HTTP/1.1 200 ")
            client.exactly(2)


def test_a_request_that_may_have_been_read_is_repeated_only_if_that_does_no_harm(front):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK).read_until(b"\r\n\r\n")  # a second request is read and never answered

    with Upstream(serve) as server, Rig(front, server.url) as rig:
        exchange(rig.address, LAST_GET)
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
        assert error_of(exchange(rig.address, post(b"abc", b"Connection: close"))) == (b"502", b"closed")
    assert server.connections == 2


def test_an_early_answer_reaches_a_client_that_still_uploads(front):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").rest()

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(post(b"x" * 1000, length=1_000_000))
        assert client.head().startswith(b"HTTP/1.1 413 ")
        assert client.exactly(2) == b"no"
        client.send(b"x" * 999_000)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
        rig.comes_to_rest(server.url)


def test_the_rest_of_an_upload_is_never_read_as_a_request():
    """The server answers and resets the upload: what the client still sends belongs to that upload."""
    requests: list[bytes] = []
    answered = Event()

    def serve(peer: Peer) -> None:
        requests.append(peer.head())
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert answered.wait(10)
        peer.send(b"no").reset()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(post(b"x" * 1000, length=1_000_000)).head()
        client.send(b"x" * 200_000)
        answered.set()
        with contextlib.suppress(ConnectionError, AssertionError):
            client.exactly(2)
            client.send(b"x" * 100_000 + LAST_GET)
            client.socket.shutdown(socket.SHUT_WR)
            assert b"HTTP/1.1" not in client.rest()
        rig.comes_to_rest(server.url)
    assert len(requests) == 1


def test_a_broken_upload_whose_answer_came_early_is_not_the_servers_fault():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nbegun").rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.head()
        client.exactly(5)
        client.send(b"no chunk\r\n")
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {}
    assert rig.stats.versions["stable"].aborts == 1
