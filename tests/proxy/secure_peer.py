"""The ends of a connection over TLS: a client of the proxy, and a server behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress

from gevent import ssl

from app.config.model import ServerConfig, TlsConfig
from tests.proxy.peer import Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.raw import OK
from tests.support.tls import TlsSocket, client_context, server_context

BLOCK = bytes(range(256)) * 256
BIG = BLOCK * 96  # 6 MiB


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


def digests(*bodies: bytes) -> list[str]:
    return [hashlib.sha256(body).hexdigest() for body in bodies]


def trusting(url: str, ca: str | None, **tls: object) -> ServerConfig:
    return ServerConfig(url, tls=TlsConfig(ca=ca, **tls))
