"""Well-behaved clients who come at a constant rate, however long the answers take: an open loop.

    python -m bench.pace HOST:PORT RATE

A request's time runs from the moment it was due, not from when it was sent: a stall costs all that fell
due in it. A process of its own, asked as tests.support.reporter says.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from time import monotonic

import gevent
from gevent import socket
from gevent.fileobject import FileObject

from tests.support.processes import python
from tests.support.raw import Address
from tests.support.reporter import Reporter
from tests.support.visitors import is_whole

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: pace\r\n\r\n"


class Pace(Reporter):
    """`rate` requests a second. Its report: `requests`, `failures`, `p50_ms`, `p99_ms`, `worst_ms`."""

    def __init__(self, address: Address, rate: float) -> None:
        host, port = address
        super().__init__(python("bench.pace", f"{host}:{port}", str(rate)))


class Clients:
    """Connections are kept alive; whoever finds none idle opens one."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[socket.socket] = []
        self._seconds: list[float] = []
        self._failures = 0

    def come(self, rate: float) -> None:
        """For ever."""
        begin = monotonic()
        for number in count():
            due = begin + number / rate
            gevent.sleep(max(0.0, due - monotonic()))
            gevent.spawn(self._ask, due)

    def report(self) -> str:
        """One line of JSON; times in milliseconds."""
        times = sorted(self._seconds) or [0.0]
        figures = {
            "requests": len(self._seconds),
            "failures": self._failures,
            "p50_ms": times[len(times) // 2] * 1e3,
            "p99_ms": times[len(times) * 99 // 100] * 1e3,
            "worst_ms": times[-1] * 1e3,
        }
        return json.dumps(figures)

    def _ask(self, due: float) -> None:
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.sendall(REQUEST)
            served = _answer(connection).startswith(b"HTTP/1.1 200 ")
            self._failures += not served  # not in one: the old sum would be read before the wait
            self._idle.append(connection)
        except (OSError, ValueError):
            self._failures += 1
        self._seconds.append(monotonic() - due)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _answer(connection: socket.socket) -> bytes:
    """A whole answer. Raises OSError, ValueError."""
    answer = b""
    while not is_whole(answer):
        block = connection.recv(65536)
        if not block:
            raise ConnectionError("closed before the end of the answer")
        answer += block
    return answer


def main(address: str, rate: str) -> None:
    """Comes until the input ends."""
    host, _, port = address.rpartition(":")
    clients = Clients((host, int(port)))
    gevent.spawn(clients.come, float(rate))
    for _line in FileObject(sys.stdin.fileno(), "rb"):
        print(clients.report(), flush=True)
    print(clients.report(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
