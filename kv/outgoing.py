"""An application's answer on its way to the client (PEP 3333, RFC 9112): head and small body in one send."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.socket import socket

from kv.head import Head
from kv.response import date

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_SEND_AT_ONCE = 64 * 1024
_FAILURE = "the server is at fault; its log says why\n"


class Outgoing:
    """The answer to one request. `is_last`: whether the connection ends with it, asked when the head is made.

    `closes`: so it does. Each send may take `seconds`.
    """

    def __init__(self, sock: socket, seconds: float, request: Head, is_last: Callable[[], bool]) -> None:
        self._socket = sock
        self._seconds = seconds
        self._request = request
        self._is_last = is_last
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._gathered = bytearray()
        self._begun = self._chunked = self._streams = False
        self._has_body = True
        self.closes = False

    def run(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Send all of it. Raises what the application does, and OSError when the client is gone or too slow."""
        blocks = application(environ, self._start)
        try:
            for block in blocks:
                self._write(block)
            self._end()
        finally:
            if hasattr(blocks, "close"):
                blocks.close()

    def fail(self) -> None:
        """Say that there will be no answer, if none has begun; else breaking off says so. Raises OSError."""
        self.closes = True
        if not self._begun:
            length = ("Content-Length", str(len(_FAILURE)))
            self._start("500 Internal Server Error", [("Content-Type", "text/plain"), length])
            self._write(_FAILURE.encode())
            self._flush()

    def _start(
        self, status: str, fields: list[tuple[str, str]], error: Any = None
    ) -> Callable[[bytes], object]:
        if error is not None and self._begun:
            raise error[1]
        self._status, self._fields = status, fields
        return self._write

    def _write(self, block: bytes) -> None:
        if not block:
            return
        if not self._begun:
            self._begin()
        if not self._has_body:
            return
        self._gathered += b"%x\r\n%b\r\n" % (len(block), block) if self._chunked else block
        # What has no known length is a stream, and nobody may have to wait for what comes next.
        if self._streams or len(self._gathered) > _SEND_AT_ONCE:
            self._flush()

    def _end(self) -> None:
        if not self._begun:
            self._begin()
        if self._chunked:
            self._gathered += b"0\r\n\r\n"
        self._flush()

    def _begin(self) -> None:
        self._frame({name.lower() for name, _ in self._fields})
        lines = [f"HTTP/1.1 {self._status}", *map(_line, self._fields), f"Date: {date(int(time.time()))}"]
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        if self.closes:
            lines.append("Connection: close")
        self._gathered += "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._begun = True

    def _frame(self, given: set[str]) -> None:
        """RFC 9112, 6.3: without a body, of a known length, in chunks, or up to the end of the connection."""
        self._has_body = self._request.method != "HEAD" and self._status[:3] not in ("204", "304")
        self._streams = self._has_body and "content-length" not in given
        self._chunked = self._streams and self._request.version == "1.1"
        self.closes = self.closes or self._is_last() or (self._streams and not self._chunked)

    def _flush(self) -> None:
        data, self._gathered = self._gathered, bytearray()
        if data:
            self._socket.settimeout(self._seconds)
            sent = self._socket.send(data)  # mostly all of it, and then cheaper than sendall
            if sent < len(data):
                self._socket.sendall(memoryview(data)[sent:])


def _line(field: tuple[str, str]) -> str:
    name, value = field
    if "\n" in value or "\r" in value:
        raise ValueError(f"a line ends in the field {name}")
    return f"{name}: {value}"
