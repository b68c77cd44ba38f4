"""Well-behaved clients who come at a constant rate, however long the answers take: an open loop.

    python -m bench.pace HOST:PORT RATE [--pages N] [--delay SECONDS]

A request's time runs from the moment it was due, not from when it was sent: a stall costs all that fell
due in it. With pages, so many requests after each other are one visitor's, named in X-Visitor. With a delay,
a sample version (samples.version) is asked to take its time with each answer: log-normal, that in the middle.
A process of its own, asked as tests.support.reporter says.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from dataclasses import asdict, dataclass
from itertools import count
from time import monotonic

import gevent
from gevent import socket
from gevent.fileobject import FileObject

from tests.support.processes import python
from tests.support.raw import Address
from tests.support.reporter import Reporter
from tests.support.visitors import is_whole

VERSION = re.compile(rb"\r\nX-Version: ([^\r]+)")
# Of ln of how long answers take.
SIGMA = 0.5


class Pace(Reporter):
    """`rate` requests a second.

    Its report: `requests`, `failures`, `p50_ms`, `p90_ms`, `p99_ms`, `worst_ms`, and by X-Version in `versions` the
    number of answers, when the `first` was due and when the `last` was there, in seconds of the monotonic clock.
    """

    def __init__(self, address: Address, rate: float, *, pages: int = 0, delay: float = 0.0) -> None:
        host, port = address
        flags = ("--pages", str(pages), "--delay", str(delay))
        super().__init__(python("bench.pace", f"{host}:{port}", str(rate), *flags))


@dataclass(frozen=True, slots=True)
class Requests:
    """What is asked for."""

    pages: int = 0
    delay: float = 0.0

    def number(self, number: int) -> bytes:
        """One of them, as it is sent."""
        drawn = random.lognormvariate(0.0, SIGMA) * self.delay
        query = f"?delay={drawn:.4f}" if self.delay else ""
        visitor = f"X-Visitor: {number // self.pages}\r\n" if self.pages else ""
        return f"GET /{query} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: pace\r\n{visitor}\r\n".encode()


@dataclass(slots=True)
class Answers:
    """Of one version."""

    first: float
    number: int = 0
    last: float = 0.0


class Clients:
    """Connections are kept alive; whoever finds none idle opens one."""

    def __init__(self, address: Address, requests: Requests) -> None:
        self._address = address
        self._requests = requests
        self._idle: list[socket.socket] = []
        self._seconds: list[float] = []
        self._failures = 0
        self._versions: dict[str, Answers] = {}

    def come(self, rate: float) -> None:
        """For ever."""
        begin = monotonic()
        for number in count():
            due = begin + number / rate
            gevent.sleep(max(0.0, due - monotonic()))
            gevent.spawn(self._ask, due, self._requests.number(number))

    def report(self) -> str:
        """One line of JSON; times in milliseconds."""
        times = sorted(self._seconds) or [0.0]
        figures = {
            "requests": len(self._seconds),
            "failures": self._failures,
            "p50_ms": times[len(times) // 2] * 1e3,
            "p90_ms": times[len(times) * 9 // 10] * 1e3,
            "p99_ms": times[len(times) * 99 // 100] * 1e3,
            "worst_ms": times[-1] * 1e3,
            "versions": {name: asdict(answers) for name, answers in self._versions.items()},
        }
        return json.dumps(figures)

    def _ask(self, due: float, request: bytes) -> None:
        try:
            connection = self._idle.pop() if self._idle else self._connect()
            connection.sendall(request)
            answer = _answer(connection)
            self._failures += not answer.startswith(b"HTTP/1.1 200 ")
            self._note(answer, due)
            self._idle.append(connection)
        except (OSError, ValueError):
            self._failures += 1
        self._seconds.append(monotonic() - due)

    def _note(self, answer: bytes, due: float) -> None:
        if found := VERSION.search(answer):
            answers = self._versions.setdefault(found[1].decode(), Answers(due))
            answers.number += 1
            answers.last = monotonic()

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


def main(argv: list[str] | None = None) -> None:
    """Comes until the input ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.pace", description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("rate", type=float, help="requests a second")
    parser.add_argument("--pages", type=int, default=0, help="requests of each visitor; 0: they have no name")
    parser.add_argument("--delay", type=float, default=0, help="median of how long answers take, in seconds")
    asked = parser.parse_args(argv)
    host, _, port = asked.address.rpartition(":")
    clients = Clients((host, int(port)), Requests(asked.pages, asked.delay))
    gevent.spawn(clients.come, asked.rate)
    for _line in FileObject(sys.stdin.fileno(), "rb"):
        print(clients.report(), flush=True)
    print(clients.report(), flush=True)


if __name__ == "__main__":
    main()
