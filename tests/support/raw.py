"""HTTP as bytes: say anything to a server, and be an upstream that says anything.

Nothing here parses more than it must to find where a request ends; what the bytes mean is for the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Self

import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

Address = tuple[str, int]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked[ \t]*\r\n", re.IGNORECASE)
_CHUNK_LINE = re.compile(rb"(?!0+[;\r])([0-9a-f]+)[^\r\n]*\r\n", re.IGNORECASE)


def exchange(
    address: Address,
    data: bytes,
    *,
    byte_by_byte: bool = False,
    half_close: bool = False,
    quiet: float = 0.3,
    deadline: float = 5.0,
) -> bytes:
    """What the server answers to `data`, until it closes or, once it has answered, is `quiet` seconds long.

    `half_close`: say that nothing more comes. Let `data` ask for `Connection: close` where that does not
    matter: the quiet need not be waited for. A reset ends the answer like a close.
    Raises AssertionError when nothing at all, not even a close, came before the deadline (seconds).
    """
    with socket.create_connection(address, timeout=deadline) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        writer = gevent.spawn(_send, connection, data, byte_by_byte, half_close)
        try:
            return _read(connection, quiet, deadline)
        finally:
            writer.kill()


def _send(connection: socket.socket, data: bytes, byte_by_byte: bool, half_close: bool) -> None:
    step = 1 if byte_by_byte else max(len(data), 1)
    try:
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
            gevent.idle()
        if half_close:
            connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the server closed early; what it said before is what the test looks at


def _read(connection: socket.socket, quiet: float, deadline: float) -> bytes:
    answer = bytearray()
    try:
        while block := connection.recv(65536):
            answer += block
            connection.settimeout(quiet)
    except TimeoutError:
        assert answer, f"neither an answer nor a close within {deadline} s"
    except ConnectionError:
        pass
    return bytes(answer)


class RecordingServer:
    """A raw upstream on a free port: keeps the exact bytes of each request, and answers as it is told.

    `answer` is sent to every request, or is a function from the request's bytes to the answer; None closes
    the connection without a word. An answer that announces `Connection: close` is followed by the close.
    Use as a context manager; `connections` has a list of requests for each connection, in order. What ends
    in the middle of a request is kept in `leftovers`.
    """

    def __init__(self, answer: bytes | Callable[[bytes], bytes | None] = OK) -> None:
        self._answer = answer if callable(answer) else lambda _request: answer
        self._server = StreamServer(("127.0.0.1", 0), self._serve, spawn=Pool())
        self.connections: list[list[bytes]] = []
        self.leftovers: list[bytes] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(timeout=0)

    @property
    def address(self) -> Address:
        """Where it listens."""
        port = self._server.server_port
        assert port is not None, "not started"
        return "127.0.0.1", port

    @property
    def url(self) -> str:
        """The address as it stands in a config document."""
        return f"http://127.0.0.1:{self.address[1]}"

    @property
    def requests(self) -> list[bytes]:
        """The requests of all connections, in the order the connections were opened."""
        return [request for connection in self.connections for request in connection]

    def _serve(self, connection: socket.socket, _peer: Address) -> None:
        requests: list[bytes] = []
        self.connections.append(requests)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray()
        try:
            while self._serve_one(connection, buffer, requests):
                pass
        except OSError:
            pass  # the peer left; what it sent is recorded
        if buffer:
            self.leftovers.append(bytes(buffer))

    def _serve_one(self, connection: socket.socket, buffer: bytearray, requests: list[bytes]) -> bool:
        while (end := request_end(bytes(buffer))) is None:
            block = connection.recv(65536)
            if not block:
                return False
            buffer += block
        request = bytes(buffer[:end])
        del buffer[:end]
        requests.append(request)
        answer = self._answer(request)
        if answer is None:
            return False
        connection.sendall(answer)
        return b"connection: close" not in answer.lower()


def request_end(data: bytes) -> int | None:
    """Where the first request in `data` ends (its length in bytes); None while it is not whole.

    Content-Length and chunked without surprises; chunk sizes are trusted.
    """
    head, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    start = len(head) + 4
    if _CHUNKED.search(data, 0, start):
        return _chunked_end(data, start)
    length = _LENGTH.search(data, 0, start)
    end = start + (int(length[1]) if length else 0)
    return end if len(data) >= end else None


def _chunked_end(data: bytes, position: int) -> int | None:
    while line := _CHUNK_LINE.match(data, position):
        position = line.end() + int(line[1], 16) + 2
    if data.startswith(b"0", position):
        trailers = data.find(b"\r\n\r\n", position)
        return None if trailers < 0 else trailers + 4
    return None
