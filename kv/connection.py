"""One client of the server: request after request, each within its bounds."""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from gevent.socket import IPPROTO_TCP, SHUT_RD, SHUT_WR, TCP_NODELAY, TCP_USER_TIMEOUT, socket

from kv import head
from kv.head import BadHead, Head
from kv.incoming import Body, Incoming
from kv.outgoing import Outgoing

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from kv.server import Server

log = logging.getLogger(__name__)

_BLOCK = 64 * 1024


class Connection:
    """One client. `waiting`: between two requests, with nothing of the next one there yet."""

    def __init__(self, sock: socket, address: Any, server: Server) -> None:
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        # A client that is gone without a word acknowledges nothing, and this is how a stream to it ends.
        sock.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, int(server.bounds.send * 1000))
        self.socket = sock
        self._peer = str(address[0])
        self._server = server
        self._bounds = server.bounds
        self._incoming = Incoming(sock)
        self._reader = io.BufferedReader(self._incoming)
        self.waiting = False

    def handle(self) -> None:
        """Serve this connection to its end."""
        self._server.serving.add(self)
        try:
            while self._serve_next():
                pass
            self._empty()
        finally:
            self._server.serving.discard(self)

    def _serve_next(self) -> bool:
        """Whether another request may follow."""
        try:
            raw = self._read_head()
            return raw is not None and self._serve(head.parse(raw))
        except BadHead as error:
            self._refuse(error)
        except OSError:
            pass  # the client has left, or is too slow
        return False

    # Reading

    def _read_head(self) -> bytes | None:
        """The lines of the next head; None if the client has left or kept still for too long."""
        if not self._begins():
            return None
        self._incoming.allow(self._bounds.head)
        begun = self._reader.peek(1)
        lines, end = head.ends(begun)
        if 0 < end <= self._bounds.head_bytes:
            return self._reader.read(end)[:lines]
        if not head.can_begin(begun):
            raise BadHead(400, "this is not an HTTP/1.1 request")
        return self._read_lines()

    def _read_lines(self) -> bytes | None:
        """A head that has not come in one piece."""
        lines = bytearray()
        try:
            while (line := self._read_line(len(lines))) not in (b"\r\n", b"\n") or not lines:
                if not line:
                    return None
                # RFC 9112, 2.2: an empty line before is ignored
                lines += line if lines or line.strip() else b""
        except TimeoutError:
            raise BadHead(408, "the request came too slowly") from None
        return bytes(lines)

    def _begins(self) -> bool:
        self.waiting = True
        try:
            self._incoming.allow(self._bounds.idle)
            return bool(not self._server.draining and self._reader.peek(1))
        finally:
            self.waiting = False

    def _read_line(self, before: int) -> bytes:
        line = self._reader.readline(self._bounds.head_bytes - before + 1)
        if before + len(line) > self._bounds.head_bytes:
            raise BadHead(431, f"a request head may have {self._bounds.head_bytes} bytes")
        return line

    # Answering

    def _serve(self, request: Head) -> bool:
        """Whether another request may follow. Raises OSError."""
        waiting = self.socket if request.expects_continue else None
        body = Body(self._reader, request.length, waiting, request.chunked)  # type: ignore[arg-type]
        if request.length or request.chunked:
            self._incoming.allow(self._bounds.head + (request.length or 0) / self._bounds.body_rate)

        def is_last() -> bool:
            return request.closes or body.unread or self._server.draining

        answer = Outgoing(self.socket, self._bounds.send, request, is_last)
        try:
            answer.run(self._server.application, self._environ(request, body))
        except OSError:
            raise
        except Exception:
            log.exception("%s %s", request.method, request.target)
            answer.fail()
        if body.unread:
            self._linger()
        return not (answer.closes or body.unread)

    def _environ(self, request: Head, body: Body) -> WSGIEnvironment:
        """PEP 3333."""
        path, _, query = request.target.partition("?")
        environ = self._server.get_environ()
        environ["REQUEST_METHOD"] = request.method
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = f"HTTP/{request.version}"
        environ["REMOTE_ADDR"] = self._peer
        for name, value in request.fields.items():
            if "_" not in name:  # else `a_b` would pass for `a-b`
                environ[head.variable(name)] = value
        environ["wsgi.input"] = body
        environ["wsgi.input_terminated"] = True
        return environ

    # Ending

    def _refuse(self, error: BadHead) -> None:
        log.info("refused a request from %s: %s", self._peer, error.detail)
        with suppress(OSError):
            self.socket.settimeout(self._bounds.send)
            self.socket.sendall(_refusal(error))
        self._linger()

    def _linger(self) -> None:
        with suppress(OSError):
            socket.shutdown(self.socket, SHUT_WR)  # the plain one: TLS, too, is read on
            self._incoming.allow(self._bounds.linger)
            while self._reader.read1(_BLOCK):
                pass

    def _empty(self) -> None:
        """What is there and unread at the close would make of it a reset, which may overtake the answer."""
        with suppress(OSError):
            self.socket.settimeout(0)
            socket.recv(self.socket, _BLOCK)  # as above

    def hang_up(self) -> None:
        """End a connection that waits for its next request."""
        if self.waiting:
            with suppress(OSError):
                socket.shutdown(self.socket, SHUT_RD)


def _refusal(error: BadHead) -> bytes:
    text = f"{error.detail}\n".encode()
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    ).encode() + text
