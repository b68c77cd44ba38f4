"""One end of a connection, read message by message; and a server that is one function.

What is said is bytes; what it means is for the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from tests.support.raw import Address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def post(body: bytes, *fields: bytes, length: int | None = None) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    size = len(body) if length is None else length
    return b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (lines, size, body)


class Peer:
    """Reads raise AssertionError when the other side ends before what is waited for, OSError on a reset."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def read_until(self, end: bytes) -> bytes:
        """Everything up to and with `end`."""
        while end not in self._buffer:
            self._receive()
        return self._take(self._buffer.index(end) + len(end))

    def head(self) -> bytes:
        return self.read_until(b"\r\n\r\n")

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        return self._take(size)

    def some(self) -> bytes:
        """The next bytes there are; b"" at a clean end."""
        return self._take(len(self._buffer)) if self._buffer else self.socket.recv(65536)

    def rest(self) -> bytes:
        """What still comes until a clean end."""
        while block := self.socket.recv(65536):
            self._buffer += block
        return self._take(len(self._buffer))

    def reset(self) -> None:
        """Close so that the other side gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def _receive(self) -> None:
        block = self.socket.recv(65536)
        assert block, f"ended after {self._buffer!r}"
        self._buffer += block

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class Upstream:
    """A server whose every connection is one call of `serve`; the connection closes when that returns."""

    def __init__(self, serve: Callable[[Peer], object]) -> None:
        self._serve = serve
        self._server = StreamServer(("127.0.0.1", 0), self._handle, spawn=Pool())
        self.connections = 0

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.stop(timeout=0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def _handle(self, sock: socket.socket, _peer: Address) -> None:
        self.connections += 1
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._serve(Peer(sock))
        except (OSError, AssertionError):
            return  # the proxy left; what its client saw is what the test looks at
