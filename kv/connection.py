"""One client of the server: request after request, each within its bounds.

gevent's WSGIHandler runs the application; reading heads, joining what is sent, and ending are done here.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import unquote_to_bytes

from gevent.pywsgi import WSGIHandler
from gevent.socket import IPPROTO_TCP, SHUT_RD, SHUT_WR, TCP_NODELAY, TCP_USER_TIMEOUT, socket

from kv import head
from kv.head import BadHead, Head
from kv.incoming import Body, Incoming

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from kv.server import Server

log = logging.getLogger(__name__)

_SEND_AT_ONCE = 64 * 1024


class Connection(WSGIHandler):
    """One client. `waiting`: between two requests, with nothing of the next one there yet."""

    def __init__(self, sock: socket, address: Any, server: Server) -> None:
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        # A client that is gone without a word acknowledges nothing, and this is how a stream to it ends.
        sock.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, int(server.bounds.send * 1000))
        self._incoming = Incoming(sock)
        self._outgoing = bytearray()
        self._owner = server
        self._bounds = server.bounds
        self.waiting = False
        super().__init__(sock, address, server, io.BufferedReader(self._incoming))  # type: ignore[call-arg]

    def handle(self) -> None:
        """Serve this connection to its end."""
        self._owner.serving.add(self)
        try:
            super().handle()
        finally:
            self._owner.serving.discard(self)

    def handle_one_request(self) -> Literal[True] | None:
        """True if another request may follow."""
        try:
            raw = self._read_head()
            if raw is None:
                return None
            self._head = head.parse(raw)
        except BadHead as error:
            self._refuse(error)
            return None
        except OSError:
            return None
        self._serve(self._head)
        return None if self.close_connection else True

    # Reading

    def _read_head(self) -> bytes | None:
        """The lines of the next head; None if the client has left or kept still for too long."""
        if not self._begins():
            return None
        self._incoming.allow(self._bounds.head)
        if not head.can_begin(self.rfile.peek(1)):
            raise BadHead(400, "this is not an HTTP/1.1 request")
        lines = bytearray()
        try:
            while (line := self._read_line(len(lines))) not in (b"\r\n", b"\n") or not lines:
                if not line:
                    return None
                lines += (
                    line if lines or line.strip() else b""
                )  # RFC 9112, 2.2: an empty line before is ignored
        except TimeoutError:
            raise BadHead(408, "the request came too slowly") from None
        return bytes(lines)

    def _begins(self) -> bool:
        self.waiting = True
        try:
            self._incoming.allow(self._bounds.idle)
            return bool(not self._owner.draining and self.rfile.peek(1))
        finally:
            self.waiting = False

    def _read_line(self, before: int) -> bytes:
        line = self.rfile.readline(self._bounds.head_bytes - before + 1)
        if before + len(line) > self._bounds.head_bytes:
            raise BadHead(431, f"a request head may have {self._bounds.head_bytes} bytes")
        return line

    # Answering

    def _serve(self, request: Head) -> None:
        self.command, self.path = request.method, request.target
        self.request_version = f"HTTP/{request.version}"
        self.requestline = f"{request.method} {request.target} {self.request_version}"
        self.close_connection = request.closes
        self.environ = self.get_environ()
        self.application = self.server.application
        if request.length or request.chunked:
            self._incoming.allow(self._bounds.head + (request.length or 0) / self._bounds.body_rate)
        self.handle_one_response()
        self._flush()
        if self._body.unread:
            self._linger()

    def get_environ(self) -> WSGIEnvironment:
        """PEP 3333."""
        request = self._head
        path, _, query = request.target.partition("?")
        environ = self.server.get_environ()
        environ["REQUEST_METHOD"] = request.method
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = self.request_version
        environ["REMOTE_ADDR"] = str(self.client_address[0])
        for name, value in request.fields.items():
            if "_" not in name:  # else `a_b` would pass for `a-b`
                environ[_variable(name)] = value
        waiting = self.socket if request.expects_continue else None
        self.wsgi_input = self._body = Body(self.rfile, request.length, waiting, request.chunked)
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    def finalize_headers(self) -> None:
        """Say it when this is the connection's last answer."""
        super().finalize_headers()
        if self._body.unread or self._owner.draining:
            self.close_connection = True
        if self.close_connection:
            headers: list[Any] = self.response_headers or []
            headers[:] = [pair for pair in headers if pair[0].lower() != b"connection"]
            headers.append((b"Connection", b"close"))

    def _sendall(self, data: bytes | bytearray) -> None:
        """Gather what pywsgi sends in pieces: head and small body go in one segment."""
        self._outgoing += data
        self.response_length += len(data)
        if len(self._outgoing) > _SEND_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        data, self._outgoing = self._outgoing, bytearray()
        if data:
            self.socket.settimeout(self._bounds.send)
            sent = self.socket.send(data)  # mostly all of it, and then cheaper than sendall
            if sent < len(data):
                self.socket.sendall(memoryview(data)[sent:])

    def write(self, data: bytes) -> None:
        """What has no known length is a stream, and nobody may have to wait for what comes next."""
        super().write(data)
        if not self.provided_content_length:
            self._flush()

    def process_result(self) -> None:
        """Send everything before anything else happens."""
        super().process_result()
        self._flush()

    def handle_error(self, *error: Any) -> None:
        """A client that has left is no error; the application's own faults it has answered itself."""
        self.close_connection = True
        if not isinstance(error[1], OSError):
            log.error("%s", self.requestline, exc_info=cast(Any, error))

    def log_request(self) -> None:
        """The history of a key tells who wrote what; reads are not worth a line."""

    # Ending

    def _refuse(self, error: BadHead) -> None:
        log.info("refused a request from %s: %s", self.client_address[0], error.detail)
        with suppress(OSError):
            self.socket.settimeout(self._bounds.send)
            self.socket.sendall(_refusal(error))
        self._linger()

    def _linger(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            socket.shutdown(self.socket, SHUT_WR)  # the plain one: TLS, too, is read on
            self._incoming.allow(self._bounds.linger)
            while self.rfile.read1(_SEND_AT_ONCE):
                pass

    def hang_up(self) -> None:
        """End a connection that waits for its next request."""
        if self.waiting:
            with suppress(OSError):
                socket.shutdown(self.socket, SHUT_RD)


def _variable(field: str) -> str:
    name = field.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def _refusal(error: BadHead) -> bytes:
    text = f"{error.detail}\n".encode()
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    ).encode() + text
