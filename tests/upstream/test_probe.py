"""Probes of real servers, over whatever they listen on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gevent import socket

from app.clock import Clock
from app.config.model import TlsConfig
from app.errors import UpstreamError
from app.upstream.address import Address
from app.upstream.pool import Pool
from app.upstream.probe import probe
from app.upstream.tls import ServerTls
from tests.proxy.peer import Peer, Upstream
from tests.proxy.secure_peer import SecureUpstream, answering
from tests.proxy.test_unix_sockets import UnixUpstream
from tests.support.processes import free_port
from tests.support.raw import RecordingServer
from tests.support.tls import write_authority


class Pools:
    """Makes pools whose connections it counts."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def to(self, url: str, tls: ServerTls | None = None) -> Pool:
        pool = Pool(Address.parse(url), self.clock, tls=tls)
        pool.resolve()
        return pool


@pytest.fixture
def pools() -> Iterator[Pools]:
    clock = Clock()
    yield Pools(clock)
    assert clock._limited == set()  # no connection stays


def test_asks_for_the_path_and_tells_the_status(pools: Pools) -> None:
    with RecordingServer(b"HTTP/1.1 418 Teapot\r\nContent-Length: 4\r\n\r\nbody") as server:
        assert probe(pools.to(server.url), "/health?x=1", None, 1.0) == 418
    (request,) = server.requests
    assert request.startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: %b\r\n" % server.url[7:].encode())
    assert b"\r\nConnection: close\r\n" in request


def test_asks_for_another_host_if_told_to(pools: Pools) -> None:
    with RecordingServer() as server:
        assert probe(pools.to(server.url), "/", "www.example", 1.0) == 200
    assert b"\r\nHost: www.example\r\n" in server.requests[0]


def test_a_server_on_a_unix_socket_is_asked_alike(pools: Pools, tmp_path: Path) -> None:
    with UnixUpstream(tmp_path / "s") as server:
        assert probe(pools.to(server.url), "/", None, 1.0) == 200


@pytest.mark.parametrize("trusted", [True, False])
def test_a_server_is_as_well_as_its_certificate(pools: Pools, tmp_path: Path, trusted: bool) -> None:
    ca = write_authority(tmp_path) if trusted else None
    with SecureUpstream(answering()) as server:
        pool = pools.to(server.url, ServerTls(TlsConfig(ca=ca), "127.0.0.1"))
        if trusted:
            assert probe(pool, "/", None, 5.0) == 200
        else:
            with pytest.raises(UpstreamError, match="tls_certificate"):
                probe(pool, "/", None, 5.0)


def drips(peer: Peer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" * 100:
        peer.send(bytes([byte]))
        time.sleep(0.02)


FAULTS: dict[str, Callable[[Peer], object]] = {
    "closed": lambda peer: peer.head(),
    "reset": lambda peer: peer.head() and peer.reset(),
    "bad_status_line": lambda peer: peer.send(b"SSH-2.0\r\n").head(),
    "timeout": lambda peer: peer.rest(),
    "timeout while it drips": drips,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told_in_time(pools: Pools, fault: str) -> None:
    reason = fault.partition(" ")[0]
    with Upstream(FAULTS[fault]) as server, pytest.raises(UpstreamError, match=f"^{reason}$"):
        probe(pools.to(server.url), "/", None, 0.3)


def test_nobody_listens(pools: Pools) -> None:
    with pytest.raises(UpstreamError, match="refused"):
        probe(pools.to(f"http://127.0.0.1:{free_port()}"), "/", None, 1.0)


def test_nobody_accepts(pools: Pools) -> None:
    """A listener whose queue is full leaves the handshake hanging."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        held = [socket.socket() for _ in range(3)]
        for sock in held:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        with pytest.raises(UpstreamError, match="timeout"):
            probe(pools.to(f"http://127.0.0.1:{port}"), "/", None, 0.2)
        for sock in held:
            sock.close()
