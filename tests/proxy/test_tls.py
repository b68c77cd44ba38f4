"""TLS on either side of the proxy, and unix sockets: the same HTTP, and no less safe than it says."""

from __future__ import annotations

import datetime
import hashlib
import socket as plain_socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
import trustme
from gevent import socket, ssl, subprocess
from gevent.event import Event
from gevent.server import StreamServer

from app.certificate import Certificate
from app.config.model import ServerConfig, TlsConfig, VersionConfig
from app.errors import InvalidConfig
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.proxy.test_servers import error_of
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer, exchange
from tests.support.tls import AUTHORITY, TlsSocket, client_context, issue, server_context, write_authority

BLOCK = bytes(range(256)) * 256
BIG = BLOCK * 96  # 6 MiB
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def certificate(folder) -> Certificate:
    return Certificate(*issue(folder))


@pytest.fixture(scope="module")
def ca(folder) -> str:
    return write_authority(folder)


def secured(rig: Rig, session: ssl.SSLSession | None = None, context: ssl.SSLContext | None = None) -> Peer:
    """A client that has agreed with the proxy."""
    sock = rig.client().socket
    try:
        return Peer(TlsSocket(sock, context or client_context(), session=session))
    except BaseException:
        sock.close()
        raise


class SecureUpstream(Upstream):
    """An Upstream behind TLS. A connection ends cleanly unless `serve` ends it otherwise."""

    def __init__(self, serve: Callable[[Peer], object], context: ssl.SSLContext | None = None) -> None:
        super().__init__(serve)
        self.context = context or server_context()
        self.names: list[str | None] = []
        self.resumed: list[bool] = []
        self.protocols: list[str | None] = []
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)

    @property
    def url(self) -> str:
        return super().url.replace("http:", "https:")

    def at(self, host: str) -> str:
        """The URL with another host in it."""
        return self.url.replace("127.0.0.1", host)

    def _handle(self, sock, peer) -> None:
        try:
            secure = self.context.wrap_socket(sock, server_side=True)
        except OSError:
            self.connections += 1
            return
        self.resumed.append(secure.session_reused)
        self.protocols.append(secure.selected_alpn_protocol())
        super()._handle(secure, peer)
        with closing(secure), suppress(OSError, ValueError):  # it may have ended by now
            secure.unwrap().close()


def answering(answer: bytes = OK) -> Callable[[Peer], None]:
    def serve(peer: Peer) -> None:
        while peer.head():
            peer.send(answer)

    return serve


# The front.


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


def test_a_client_of_http_1_0_sees_a_clean_end(certificate):
    with (
        Upstream(lambda peer: peer.head() and peer.send(UNTIL_CLOSE + BIG)) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\n\r\n").head()
        assert client.rest() == BIG


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


def test_a_drain_ends_idle_connections_cleanly(certificate):
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(GET).head()
        client.exactly(2)
        rig.gateway.drain()
        assert client.rest() == b""


def test_a_drain_does_not_wait_for_connections_without_a_word(certificate):
    with Rig("fast_lane", tls=certificate) as rig, rig.client() as client:
        wait_until(lambda: rig.gateway.lanes, what="the connection")
        rig.gateway.drain()
        assert client.rest() == b""


def test_a_drain_lets_a_handshake_under_way_become_a_request(certificate):
    with RecordingServer() as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        sock, hello = rig.client().socket, Event()

        class Slow(TlsSocket):
            """Waits between its hello and what follows."""

            def _flush(self) -> None:
                super()._flush()
                if not hello.is_set():
                    hello.set()
                    wait_until(
                        lambda: any(not lane.idle for lane in rig.gateway.lanes), what="the hello taken"
                    )
                    rig.gateway.drain()

        with Peer(Slow(sock, client_context())) as client:
            assert client.send(GET).rest().endswith(b"\r\n\r\nok")


def test_an_upload_cut_without_a_close_notify_is_not_taken_for_whole(certificate):
    """Not even when the body's length is not told: any attacker on the way can end a connection."""
    with RecordingServer() as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        with secured(rig) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            wait_until(lambda: server.connections, what="the request at the server")
        rig.comes_to_rest(server.url)
        wait_until(lambda: server.leftovers, what="what the server got")
    assert server.requests == []
    assert rig.stats.versions["stable"].aborts == 1


def test_a_client_that_says_good_bye_early_gets_its_answer(certificate):
    asked = Event()

    def answer(_request: bytes) -> bytes:
        asked.set()
        gevent.sleep(0.1)
        return OK

    with (
        RecordingServer(answer) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest().endswith(b"\r\n\r\nok")


def test_a_client_that_is_gone_frees_the_server(certificate):
    with Upstream(lambda peer: peer.rest()) as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        with secured(rig) as client:
            client.send(GET)
            wait_until(lambda: server.connections, what="the request at the server")
        rig.comes_to_rest(server.url)


def test_a_cut_answer_is_no_clean_end(certificate):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\n\r\n").head()
        with pytest.raises(ConnectionResetError):
            client.rest()


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


def digests(*bodies: bytes) -> list[str]:
    return [hashlib.sha256(body).hexdigest() for body in bodies]


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


# The servers.


def test_asks_a_server_over_tls(front, ca):
    with (
        SecureUpstream(answering()) as server,
        Rig(front, trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        for _ in range(3):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
    assert server.connections == 1
    assert server.names == [None]  # an address is not told
    assert server.protocols == ["http/1.1"]


def trusting(url: str, ca: str | None, **tls: object) -> ServerConfig:
    return ServerConfig(url, tls=TlsConfig(ca=ca, **tls))


def test_tells_the_server_the_name_it_asks_for(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.at("localhost"), ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.names == ["localhost"]


@pytest.mark.parametrize("name", ["inside.example", "inside.example."])
def test_a_server_may_go_by_another_name(ca, name):
    context = server_context("inside.example")
    with (
        SecureUpstream(answering(), context) as server,
        Rig("fast_lane", trusting(server.url, ca, name=name)) as rig,
    ):
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.names == ["inside.example"]


def test_bodies_of_megabytes_pass_both_ways(front, ca):
    received: list[bytes] = []

    def serve(peer: Peer) -> None:
        peer.head()
        received.append(peer.exactly(len(BIG)))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        peer.send(BIG).rest()

    with SecureUpstream(serve) as server, Rig(front, trusting(server.url, ca)) as rig, rig.client() as client:
        client.send(post(BIG)).head()
        answer = client.exactly(len(BIG))
    assert digests(received[0], answer) == digests(BIG, BIG)


def test_both_sides_at_once(certificate, ca):
    """A server that answers while the client still uploads, TLS on either side."""

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        for _ in range(len(BIG) // len(BLOCK)):
            peer.send(peer.exactly(len(BLOCK)))
        peer.rest()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca), tls=certificate) as rig,
        secured(rig) as client,
    ):
        sending = gevent.spawn(client.send, post(BIG))
        client.head()
        assert digests(client.exactly(len(BIG))) == digests(BIG)
        sending.get(timeout=10)


def test_a_body_until_close_ends_with_a_close_notify(ca):
    serve = SecureUpstream(lambda peer: peer.head() and peer.send(UNTIL_CLOSE + BLOCK))
    with serve as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n").endswith(BLOCK)


def test_a_body_until_close_without_one_is_cut(ca):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(UNTIL_CLOSE + BLOCK)
        peer.socket.close()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {"reset": 1}


@pytest.mark.parametrize("clean", [True, False])
def test_a_server_that_closes_idle_connections_costs_no_client_an_error(ca, clean):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        if not clean:
            peer.socket.close()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        for _ in range(10):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            client.exactly(2)


def test_a_connection_waits_for_its_next_request(ca):
    """The session tickets that come after the handshake do not look like a word of the server's."""
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        pool = rig.load(server.url).pool
        pool.give(pool.connect(1), 60)
        connection = pool._idle[0]
        wait_until(lambda: connection.stream.session.has_ticket, what="the tickets")
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.connections == 1


def test_what_a_server_says_unasked_never_reaches_anybody(ca):
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        gevent.sleep(0)
        peer.send(evil).rest()

    with SecureUpstream(serve) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
        wait_until(lambda: not rig.load(server.url).pool._idle, what="the connection dropped")
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
    assert server.connections == 2


def test_a_second_connection_resumes_the_session(ca):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)

    with SecureUpstream(serve) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        for _ in range(3):
            assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.resumed == [False, True, True]


YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.mark.parametrize(
    "context",
    [
        server_context("other.example"),
        server_context("127.0.0.2"),
        server_context(not_after=YESTERDAY),
        server_context(authority=trustme.CA()),
    ],
    ids=["another name", "another address", "expired", "unknown authority"],
)
def test_a_server_that_is_not_who_it_should_be_gets_no_request(front, ca, context):
    with SecureUpstream(answering(), context) as server, Rig(front, trusting(server.url, ca)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {"tls_certificate": 1}


def test_the_systems_authorities_are_the_default():
    """Ours is not among them."""
    with SecureUpstream(answering()) as server, Rig("fast_lane", server.url) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")


def test_verification_can_be_turned_off(ca):
    context = server_context("other.example", authority=trustme.CA())
    with (
        SecureUpstream(answering(), context) as server,
        Rig("fast_lane", trusting(server.url, None, verify=False)) as rig,
    ):
        assert exchange(rig.address, LAST_GET).endswith(b"ok")


def test_a_server_without_tls_is_a_502(front, ca):
    with Upstream(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        url = server.url.replace("http:", "https:")
        with Rig(front, trusting(url, ca)) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls")


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_a_server_of_an_old_version_is_a_502(ca):
    context = server_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with SecureUpstream(answering(), context) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls")


def test_a_server_that_leaves_during_the_handshake_is_a_502(ca):
    with Upstream(lambda peer: peer.exactly(10)) as server:
        url = server.url.replace("http:", "https:")
        with Rig("fast_lane", trusting(url, ca)) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"reset")


def test_a_server_that_does_not_finish_the_handshake_is_a_504(ca):
    with Upstream(lambda peer: peer.rest()) as server:
        url = server.url.replace("http:", "https:")
        with Rig("fast_lane", trusting(url, ca), timeouts={"connect": 0.1}) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"connect_timeout")
            rig.comes_to_rest(url)


# The config.


def test_new_settings_want_new_connections(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        same = apply(rig, trusting(server.url, ca))
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        assert server.connections == 1
        apply(rig, trusting(server.url, None))
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        assert same.load is rig.load(server.url)


def apply(rig: Rig, *servers: ServerConfig):
    """Put these servers in force; gives the first."""
    config = replace(rig.config, stable=VersionConfig(servers))
    rig.gateway.snapshot = rig.fleet.snapshot(config, rig.gateway.snapshot)
    rig.fleet.retire(config)
    return rig.gateway.snapshot.balancer.servers[0]


def test_a_connection_of_old_settings_that_was_lent_is_not_kept(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        pool = rig.load(server.url).pool
        lent = pool.connect(1)
        apply(rig, trusting(server.url, None, verify=False))
        pool.give(lent, 60)
        assert pool.take() is None
        assert rig.load(server.url).pool.take() is None


def test_an_authority_whose_file_changes_is_read_again_with_the_next_config(tmp_path):
    strange = write_authority(tmp_path, trustme.CA())
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, strange)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        write_authority(tmp_path, AUTHORITY)
        apply(rig, trusting(server.url, strange))
        assert exchange(rig.address, LAST_GET).endswith(b"ok")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot be read: No such file or directory"), ("no certificate", "holds no certificate")],
)
def test_an_authority_that_cannot_be_used_changes_nothing(tmp_path, ca, content, why):
    bad = tmp_path / "bad.pem"
    if content:
        bad.write_text(content)
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        other = trusting("https://127.0.0.1:1", str(bad))
        with pytest.raises(InvalidConfig) as refused:
            apply(rig, trusting(server.url, None), other)
        assert refused.value.faults == {"stable.servers[1].tls.ca": why}
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
        assert list(rig.fleet.loads) == [server.url]


# Unix sockets.


class UnixUpstream(RecordingServer):
    """A RecordingServer on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self._server = StreamServer(listener, self._serve_unix)
        self._path = path

    @property
    def url(self) -> str:
        return f"unix:{self._path}"

    def _serve_unix(self, connection: socket.socket, _peer: object) -> None:
        buffer, requests = bytearray(), []
        self.connections.append(requests)
        while self._serve_one(connection, buffer, requests):
            pass


def test_asks_a_server_on_a_unix_socket(front, tmp_path):
    with UnixUpstream(tmp_path / "s") as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(2):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            client.exactly(2)
    assert len(server.connections) == 1
    assert b"\r\nHost: a\r\n" in server.requests[0]


def test_a_client_without_a_host_asks_for_localhost(tmp_path):
    with UnixUpstream(tmp_path / "s") as server, Rig("fast_lane", server.url) as rig:
        exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nHost: localhost\r\n" in server.requests[0]


def test_a_unix_socket_that_is_not_there_is_a_502(front, tmp_path):
    with Rig(front, f"unix:{tmp_path}/s") as rig:
        answer = exchange(rig.address, LAST_GET)
    assert error_of(answer) == (b"502", b"unreachable")
    assert str(tmp_path).encode() not in answer


def test_a_unix_socket_whose_queue_is_full_is_waited_for(tmp_path):
    with plain_socket.socket(plain_socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        held = plain_socket.socket(plain_socket.AF_UNIX)
        held.connect(str(tmp_path / "s"))
        with Rig("fast_lane", f"unix:{tmp_path}/s", timeouts={"connect": 0.1}) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"connect_timeout")
        held.close()
