"""The client's connection as the WSGI server lends it: what PEP 3333 has, and what gunicorn adds to that.

gunicorn lends the socket (and over HTTP/2, which it speaks alone, one stream). Other servers lend nothing:
then no 1xx and no Upgrade can be passed on, and a broken answer ends as well as the server ends it.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from gevent.ssl import SSLSocket

from app.proxy.environ import is_http_2
from app.stream import READ_SIZE, Stream
from app.wire.forward import interim_head
from app.wire.head import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# A client that is not to be read any further may go on sending for so many seconds and bytes.
LINGER = (2.0, 16 * 1024 * 1024)

_RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"


class Downstream:
    """`http_2`: the request came on one stream of an HTTP/2 connection, which none but gunicorn may touch."""

    __slots__ = ("_environ", "_socket", "http_2")

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self._socket: Any = environ.get("gunicorn.socket")
        self.http_2 = is_http_2(environ)

    @property
    def secure(self) -> bool:
        """By the connection itself: gunicorn's wsgi.url_scheme may be what the client says of it."""
        if self._socket is None:
            return bool(self._environ["wsgi.url_scheme"] == "https")
        return isinstance(self._socket, SSLSocket)

    @property
    def can_switch(self) -> bool:
        """May the connection go over to another protocol (RFC 9110, 7.8)?"""
        return self._socket is not None and not self.http_2

    def interim(self, request: Request, response: Response) -> None:
        """Pass on a 1xx if there is a way. HTTP/2 has one for 103 (RFC 8297) when no body is being read beside."""
        if self.can_switch and request.minor:
            self._socket.sendall(interim_head(response))
        elif self.http_2 and response.status == 103 and not request.framing:
            lines = interim_head(response).decode("latin-1").split("\r\n")[1:-2]
            fields = [line.partition(":")[::2] for line in lines]
            self._environ["wsgi.early_hints"]([(name, value.strip(" \t")) for name, value in fields])

    def switch(self) -> tuple[SocketStream, bytes]:
        """The connection for another protocol, and what the client has sent of that already."""
        return SocketStream(self._socket), self._environ["wsgi.input"].reader.unreader.take_buffered()

    def broken(self, reason: str) -> Exception:
        """What to raise out of a body so that the client cannot take the part for the whole."""
        if self.http_2:
            from gunicorn.http2.errors import HTTP2StreamError  # noqa: PLC0415

            return HTTP2StreamError(0, reason)
        if self._socket is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return ConnectionResetError(errno.ECONNRESET, reason)

    def linger(self) -> None:
        """Drop what still comes, for a while: closing on unread bytes would reset the answer away."""
        if not self.can_switch:
            return
        stream, (seconds, most) = SocketStream(self._socket), LINGER
        stream.stop_writing()
        with suppress(OSError), gevent.Timeout(seconds, False):  # type: ignore[arg-type]
            while most > 0 and (data := stream.read()):
                most -= len(data)


class SocketStream(Stream):
    """A gevent socket, plain or TLS, as far as a Tunnel needs a Stream. The WSGI server closes it."""

    plain = False

    __slots__ = ()

    def __init__(self, sock: Any) -> None:
        """Unlike Stream, take over nothing: gevent's socket waits by itself."""
        self._socket = sock

    def read(self) -> bytes:
        """See Stream."""
        data: bytes = self._socket.recv(READ_SIZE)
        return data

    def write(self, data: bytes) -> None:
        """See Stream."""
        self._socket.sendall(data)

    def stop_writing(self) -> None:
        """See Stream. gevent's TLS can end only both directions."""
        self._shutdown(socket.SHUT_RDWR if isinstance(self._socket, SSLSocket) else socket.SHUT_WR)

    def shut(self) -> None:
        """See Stream."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):
            # Past gevent's TLS socket, which would go on in plain text.
            self._socket._sock.shutdown(how)  # type: ignore[attr-defined]


def announce_close(start_response: StartResponse) -> None:
    """Have gunicorn say `Connection: close` and do so: it takes no such field from an application."""
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is not None:
        force_close()
