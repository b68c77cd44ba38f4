"""TLS at the front: handshakes good and bad, and the same HTTP inside."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest
from gevent import socket, ssl, subprocess

from app.certificate import Certificate
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.secure_peer import BIG, digests, secured
from tests.support.processes import wait_until
from tests.support.raw import RecordingServer, exchange
from tests.support.tls import TlsSocket, client_context, issue


def test_a_connection_carries_many_requests(certificate):
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        for _ in range(3):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
        assert b"HTTP/1.1 200 " in client.send(LAST_GET).rest()
    assert client.socket.tls.selected_alpn_protocol() is None
    assert b"\r\nX-Forwarded-Proto: https\r\n" in server.requests[0]
    assert rig.stats.refused == {}


def test_pipelined_requests_in_one_record(certificate):
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        assert client.send(GET + GET + LAST_GET).rest().count(b"HTTP/1.1 200 ") == 3


def test_the_cookie_is_for_https_alone(certificate):
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate, sticky_sessions=True) as rig,
        secured(rig) as client,
    ):
        assert b"; Secure" in client.send(GET).head()


def test_agrees_on_http_1_1_with_a_client_that_would_rather_speak_2(certificate):
    context = client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Rig("fast_lane", tls=certificate) as rig, secured(rig, context=context) as client:
        assert client.socket.tls.selected_alpn_protocol() == "http/1.1"


def test_a_client_may_resume_its_session(certificate):
    with RecordingServer() as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        context = client_context()
        with secured(rig, context=context) as client:
            client.send(GET).head()
            session = client.socket.tls.session
        with secured(rig, session, context) as client:
            assert client.socket.tls.session_reused


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_an_old_version_of_tls_is_refused(certificate):
    context = client_context()
    context.minimum_version, context.maximum_version = (
        ssl.TLSVersion.MINIMUM_SUPPORTED,
        ssl.TLSVersion.TLSv1_1,
    )
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Rig("fast_lane", tls=certificate) as rig:
        with pytest.raises(ssl.SSLError):
            secured(rig, context=context)
        wait_until(lambda: rig.stats.refused == {"tls_handshake": 1}, what="the count")


@pytest.mark.parametrize(
    "hello", [b"\x16\x03\x01\x00\x05garbage", b"\x80\x2e\x01\x00\x02", bytes(range(256)) * 8, b"\r\n\r\n"]
)
def test_garbage_for_a_handshake_is_cut_and_counted(certificate, hello, caplog):
    with Rig("fast_lane", tls=certificate) as rig:
        with rig.client() as client:
            client.send(hello)
            client.socket.shutdown(socket.SHUT_WR)
            assert b"HTTP" not in exchange_rest(client)
        wait_until(lambda: rig.stats.refused == {"tls_handshake": 1}, what="the count")
        wait_until(lambda: not rig.gateway.lanes, what="rest")
    assert caplog.records == []


def exchange_rest(client: Peer) -> bytes:
    try:
        return client.rest()
    except ConnectionResetError:
        return b""


def test_a_client_that_leaves_without_a_word_counts_as_nothing(certificate):
    with Rig("fast_lane", tls=certificate) as rig:
        rig.client().socket.close()
        with rig.client() as client:
            wait_until(lambda: rig.gateway.lanes, what="the connection")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.rest() == b""
    assert rig.stats.refused == {}


def hello_bytes() -> bytes:
    outgoing = ssl.MemoryBIO()
    tls = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("part", [0, 1, 100, None], ids=["nothing", "a byte", "half a hello", "a hello"])
def test_a_slow_handshake_is_cut(certificate, part):
    with (
        Rig("fast_lane", tls=certificate, timeouts={"client_head": 0.1}) as rig,
        rig.client() as client,
    ):
        client.send(hello_bytes()[:part])
        exchange_rest(client)
        wait_until(lambda: not rig.gateway.lanes, what="rest")


def test_a_slow_head_gets_its_408(certificate):
    with (
        Rig("fast_lane", tls=certificate, timeouts={"client_head": 0.1}) as rig,
        secured(rig) as client,
    ):
        assert b"(head_timeout)" in client.send(b"GET / HT").rest()


def test_plain_http_is_told_so(certificate):
    with Rig("fast_lane", tls=certificate) as rig:
        answer = exchange(rig.address, LAST_GET)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"(plain_http)" in answer
    assert rig.stats.refused == {"plain_http": 1}


def test_curl_gets_and_puts(certificate, ca, tmp_path):
    seen: list[bytes] = []

    def serve(peer: Peer) -> None:
        assert b"100-continue" in peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.append(peer.exactly(len(BIG)))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BIG), BIG))

    up, down = tmp_path / "up", tmp_path / "down"
    up.write_bytes(BIG)
    with Upstream(serve) as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        url = f"https://localhost:{rig.address[1]}/"
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", ca, "-T", str(up), "-o", str(down), url]
        subprocess.run([*command, "-H", "Expect: 100-continue"], check=True, timeout=20)
    assert digests(seen[0], down.read_bytes()) == digests(BIG, BIG)


def test_a_new_certificate_costs_nobody_anything(tmp_path):
    certificate = Certificate(*issue(tmp_path), period=0.01)
    first, other = certificate.context, tmp_path / "other"
    other.mkdir()
    certificate.start()
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as old,
    ):
        old.send(GET).head()
        loads = [gevent.spawn(keep_asking, rig, lambda: certificate.context is not first) for _ in range(4)]
        for fresh, path in zip(issue(other), certificate._files, strict=True):
            fresh.replace(path)
        gevent.joinall(loads, timeout=10, raise_error=True)
        with secured(rig) as new:
            assert serial(new) != serial(old)
        old.exactly(2)
        assert old.send(GET).head().startswith(b"HTTP/1.1 200 ")
    certificate.stop()


def serial(client: Peer) -> str:
    return client.socket.tls.getpeercert()["serialNumber"]


def keep_asking(rig: Rig, enough: Callable[[], bool]) -> None:
    """A new connection for each request, and one more after it is enough."""
    last = False
    while not last:
        last = enough()
        with secured(rig) as client:
            assert client.send(LAST_GET).rest().endswith(b"\r\n\r\nok")


@pytest.mark.parametrize("together", [True, False])
def test_a_proxy_header_comes_before_the_handshake(certificate, together):
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n"

    class Introduced(TlsSocket):
        """Says who it is before its hello, in one go or in two."""

        def __init__(self, sock: socket.socket) -> None:
            self.header = header
            super().__init__(sock, client_context())

        def _flush(self) -> None:
            said, self.header = self.header, b""
            if not together:
                self.plain.sendall(said)
                said = b""
            if data := self._outgoing.read():
                self.plain.sendall(said + data)

    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate, proxy_protocol=True) as rig,
        Peer(Introduced(rig.client().socket)) as client,
    ):
        assert client.send(LAST_GET).rest().endswith(b"\r\n\r\nok")
    assert b"\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n" in server.requests[0]
