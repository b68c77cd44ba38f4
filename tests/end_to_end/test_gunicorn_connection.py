"""What gunicorn lends us of the client's connection: 1xx, other protocols, visible ends, and the truth about it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.test_tunnels import ASK, SWITCH
from tests.support.gunicorn import stock_gunicorn
from tests.support.processes import Process, wait_until
from tests.support.raw import OK
from tests.support.tls import TlsSocket, client_context, issue

pytestmark = pytest.mark.end_to_end

CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


class Front:
    """gunicorn; `serve` is what the server behind it does with each of its connections."""

    def __init__(self, process: Process, port: int, *, tls: bool) -> None:
        self.process = process
        self._port = port
        self.tls = tls

    def client(self) -> Peer:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        return Peer(TlsSocket(sock, client_context()) if self.tls else sock)


class Behind:
    """A server whose behaviour each test sets."""

    def __init__(self) -> None:
        self.serve = lambda peer: peer.head() and peer.send(OK)

    def __call__(self, peer: Peer) -> None:
        self.serve(peer)


@pytest.fixture(scope="module")
def behind() -> Behind:
    return Behind()


@pytest.fixture(scope="module", params=["plain", "TLS"])
def front(
    request: pytest.FixtureRequest, behind: Behind, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("gunicorn")
    cert, key = issue(folder)
    tls = request.param == "TLS"
    env = {"HTTP2": "on", "TLS_CERT": str(cert), "TLS_KEY": str(key)} if tls else {}
    timeouts = {"tunnel_idle": "1s"}
    with Upstream(behind) as server:
        process, port = stock_gunicorn(folder, server.url, env=env, timeouts=timeouts)
        with process:
            yield Front(process, port, tls=tls)
        assert "Traceback" not in process.output()


def echo(peer: Peer) -> None:
    peer.head()
    peer.send(SWITCH)
    while data := peer.some():
        peer.send(data)


def test_bytes_go_both_ways(front, behind):
    behind.serve = echo
    data = os.urandom(2_000_000)
    with front.client() as client:
        assert client.send(ASK).head().startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        sending = gevent.spawn(client.send, data)
        assert hashlib.sha256(client.exactly(len(data))).digest() == hashlib.sha256(data).digest()
        sending.get()


def test_what_is_said_early_is_not_lost(front, behind):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH + b"hello").read_until(b"early")
        peer.send(b"heard")

    behind.serve = serve
    with front.client() as client:
        client.send(ASK + b"early").head()
        assert client.exactly(10) == b"helloheard"


def test_a_client_that_leaves_takes_the_server_with_it(front, behind):
    left = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH)
        try:
            peer.rest()
        finally:
            left.set()

    behind.serve = serve
    with front.client() as client:
        client.send(ASK).head()
    assert left.wait(10)


def test_a_server_that_leaves_takes_the_client_with_it(front, behind):
    behind.serve = lambda peer: peer.head() and peer.send(SWITCH + b"bye")
    with front.client() as client:
        client.send(ASK).head()
        assert client.exactly(3) == b"bye"
        ends(client)


def test_silence_ends_it(front, behind):
    behind.serve = echo
    with front.client() as client:
        client.send(ASK).head()
        ends(client)


def ends(client: Peer) -> None:
    """gunicorn ends TLS without a good-bye."""
    with pytest.raises((AssertionError, OSError), match=r"ended|EOF"):
        client.exactly(1)


def test_a_server_that_does_not_switch_answers_like_any_other(front, behind):
    behind.serve = lambda peer: [peer.head() and peer.send(OK) for _ in range(2)]
    with front.client() as client:
        for request in (ASK, GET):
            assert client.send(request).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"


def test_interim_responses_are_passed_on(front, behind):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK)

    behind.serve = serve
    with front.client() as client:
        assert client.send(GET).head() == b"HTTP/1.1 102 Processing\r\n\r\n"
        assert client.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        assert client.head().startswith(b"HTTP/1.1 200 ")
        client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.exactly(2) == b"ok"
        assert client.head().startswith(b"HTTP/1.0 200 ")


def test_a_cut_answer_does_not_look_whole(front, behind):
    """A client of HTTP/1.0 knows the end of this one by the connection's alone."""
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"
    behind.serve = lambda peer: peer.head() and peer.send(cut)
    with front.client() as client, pytest.raises(OSError, match=r"reset|EOF"):
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").rest()


@pytest.mark.parametrize("framing", [b"Content-Length: 999999", b"Transfer-Encoding: chunked"])
def test_what_is_left_of_a_body_is_no_request(front, behind, framing):
    """The server answers before it has all, and the client says something that looks like a request."""
    evil = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
    targets = []

    def serve(peer: Peer) -> None:
        while head := peer.head():
            targets.append(head.split(b" ")[1])
            peer.send(OK)

    behind.serve = serve
    with front.client() as client:
        client.send(
            b"POST /first HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n" + b"4000\r\n" + b"x" * 10_000
        )
        head = client.head()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in head
        with pytest.raises((AssertionError, OSError)):
            client.send(evil).head()
    assert set(targets) == {b"/first"}


def test_a_refusal_closes(front):
    with front.client() as client:
        head = client.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + GET).head()
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"\r\nConnection: close\r\n" in head
        with pytest.raises((AssertionError, OSError)):
            client.read_until(b"HTTP/1.1 200 ")


def test_nobody_is_believed_about_himself(front, behind):
    heads = []
    behind.serve = lambda peer: heads.append(peer.head()) or peer.send(OK)
    lies = b"X-Forwarded-Proto: %b\r\nX-Forwarded-Ssl: %b\r\nX-Forwarded-For: 1.2.3.4\r\nSCRIPT_NAME: /a\r\n"
    for said in ((b"https", b"on"), (b"http", b"off")):
        with front.client() as client:
            client.send(GET.replace(b"\r\n\r\n", b"\r\n" + lies % said + b"\r\n")).head()
    scheme = b"https" if front.tls else b"http"
    for head in heads:
        assert b"\r\nX-Forwarded-Proto: %b\r\n" % scheme in head
        assert b"1.2.3.4" not in head
        assert b"script" not in head.lower()


def test_an_end_of_the_process_ends_tunnels(behind, tmp_path):
    behind.serve = echo
    with Upstream(behind) as server:
        process, port = stock_gunicorn(tmp_path, server.url)
        with process, Front(process, port, tls=False).client() as client:
            client.send(ASK).head()
            assert process.terminate() == 0
            ends(client)
        wait_until(lambda: not process.running)
