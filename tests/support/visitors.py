"""The process behind `load`: many visitors, each asking for the same thing over and over, none forgetting.

    python -m tests.support.visitors HOST PORT PATH CLIENTS PAUSE [close]

With `close` each request has a connection of its own.

Each line on its input is answered by the tally so far, as a line of JSON; at the end of its input every
visitor finishes its request, and the last tally is printed.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import gevent
from gevent import socket
from gevent.fileobject import FileObject

DEADLINE = 10.0
KEPT_FAILURES = 100


@dataclass(slots=True)
class Tally:
    """What became of the requests so far; `failures` has the first texts, `lost` counts them all."""

    requests: int = 0
    lost: int = 0
    connections: int = 0
    slowest: float = 0.0
    versions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def fail(self, text: str) -> None:
        """Counts one lost request."""
        self.lost += 1
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(text)

    def as_json(self) -> str:
        """One line; `load.Result` has the same fields."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


class Visitor:
    """One client on one connection at a time."""

    def __init__(self, address: tuple[str, int], request: bytes, tally: Tally) -> None:
        self._address = address
        self._request = request
        self._tally = tally
        self._connection: socket.socket | None = None
        self.stopping = False

    def run(self, pause: float) -> None:
        """Asks until `stopping` is set; `pause` seconds between an answer and the next request."""
        while not self.stopping:
            begun = time.monotonic()
            try:
                self._ask()
            except (OSError, ValueError) as error:
                self._tally.fail(f"{type(error).__name__}: {error}")
                self._close()
                gevent.sleep(0.05)
            self._tally.requests += 1
            self._tally.slowest = max(self._tally.slowest, time.monotonic() - begun)
            gevent.sleep(pause)
        self._close()

    def _ask(self) -> None:
        if self._connection is None:
            self._connection = socket.create_connection(self._address, timeout=DEADLINE)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tally.connections += 1
        self._connection.sendall(self._request)
        head = self._read_answer(self._connection)
        status, headers = parse_head(head)
        self._tally.statuses[status] += 1
        self._tally.versions[headers.get("x-version", "none")] += 1
        if status != "200":
            self._tally.fail(head.decode("latin-1"))
        if headers.get("connection", "").lower() == "close":
            self._close()

    @staticmethod
    def _read_answer(connection: socket.socket) -> bytes:
        """The head of a whole answer; its body is read and dropped."""
        data = b""
        while not is_whole(data):
            block = connection.recv(65536)
            if not block:
                raise ConnectionError(f"closed after {len(data)} bytes of the answer: {data!r}")
            data += block
        return data.partition(b"\r\n\r\n")[0]

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Status and headers of an answer's head; names in lower case. Raises ValueError."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    _, status, _ = f"{status_line} ".split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    return status, {name.lower(): value.strip() for name, value in pairs}


def is_whole(data: bytes) -> bool:
    """Whether one answer is complete. Raises ValueError when more than one answer is there."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return False
    _, headers = parse_head(head)
    if headers.get("transfer-encoding") == "chunked":
        return body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n")
    if "content-length" not in headers:
        raise ValueError(f"an answer without a length: {head!r}")
    length = int(headers["content-length"])
    if len(body) > length:
        raise ValueError(f"bytes after the answer: {body[length:]!r}")
    return len(body) == length


def main(arguments: list[str]) -> None:
    """Runs the visitors until the input ends."""
    host, port, path, clients, pause, *close = arguments
    tally = Tally()
    last = "Connection: close\r\n" if close else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: visitors\r\n{last}\r\n".encode()
    visitors = [Visitor((host, int(port)), request, tally) for _ in range(int(clients))]
    running = [gevent.spawn(visitor.run, float(pause)) for visitor in visitors]
    for _line in FileObject(sys.stdin.fileno(), "rb"):
        print(tally.as_json(), flush=True)
    for visitor in visitors:
        visitor.stopping = True
    gevent.joinall(running, raise_error=True)
    print(tally.as_json(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
