"""Many clients that hold on to their connections, in a process of their own: idle ones, and slow ones.

    with Crowd(stack.address, "slow_heads", 300) as crowd:
        crowd.wait_arrived()
        ...
        crowd.wait_gone()

None of them ever closes: those who are gone were sent away, and their connections are the server's to free.
Slow is a byte every `pause` seconds for those who send, and 1 KiB for those who read.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import gevent
from gevent import socket
from gevent.fileobject import FileObject
from gevent.lock import Semaphore

from tests.support.processes import python, wait_until
from tests.support.raw import Address
from tests.support.reporter import Reporter

SIP = 1024

# So many connect at a time: a server's queue is no longer than that.
CONNECTING = 200

# Where they come from, so that a server's connections to them can be told from others.
FROM = "127.0.0.2"

STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


class Crowd(Reporter):
    """`count` clients of a kind (see KINDS), who ask for `path`."""

    def __init__(
        self, address: Address, kind: str, count: int, path: str = "/", *, pause: float = 0.25
    ) -> None:
        host, port = address
        super().__init__(python("tests.support.crowd", f"{host}:{port}", kind, str(count), path, str(pause)))
        self._count = count

    def wait_arrived(self, deadline: float = 20.0) -> None:
        """Until all are connected and have begun; the idle ones have had their answer."""
        wait_until(lambda: self.ask()["arrived"] == self._count, deadline, what="the crowd", pause=0.05)

    def wait_gone(self, deadline: float = 30.0) -> None:
        """Until all have been sent away."""
        wait_until(lambda: self.ask()["gone"] == self._count, deadline, what="all sent away", pause=0.05)


@dataclass(slots=True)
class Tally:
    """How many there are, and what they were told, by status; `gone` were left by the server."""

    arrived: int = 0
    gone: int = 0
    statuses: Counter[str] = field(default_factory=Counter)

    def hear(self, data: bytes) -> None:
        """Counts the status in the first bytes of an answer."""
        if told := STATUS.match(data):
            self.statuses[told[1].decode()] += 1

    def as_json(self) -> str:
        """One line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


def stay_idle(connection: socket.socket, _tally: Tally, _pause: float) -> None:
    """Until the server closes."""
    connection.settimeout(None)
    while connection.recv(65536):
        pass


def drip(connection: socket.socket, tally: Tally, pause: float) -> None:
    """A byte now and then, until the server closes."""
    connection.settimeout(pause)
    while True:
        try:
            data = connection.recv(65536)
        except TimeoutError:
            connection.sendall(b"a")
            continue
        if not data:
            return
        tally.hear(data)


def sip(connection: socket.socket, tally: Tally, pause: float) -> None:
    """A few bytes now and then, until the server closes."""
    connection.settimeout(None)
    while data := connection.recv(SIP):
        tally.hear(data)
        gevent.sleep(pause)


class Kind(NamedTuple):
    """What such a client says first (`%s`: the path), and what it does then."""

    first: str
    then: Callable[[socket.socket, Tally, float], None]


_LINES = " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: crowd\r\n"
KINDS = {
    "idle": Kind(f"GET %s{_LINES}\r\n", stay_idle),
    "slow_heads": Kind(f"GET %s{_LINES}X-Slow: ", drip),
    "slow_bodies": Kind(f"POST %s{_LINES}Content-Length: 1000000\r\n\r\n", drip),
    "slow_readers": Kind(f"GET %s{_LINES}\r\n", sip),
}


@dataclass(frozen=True, slots=True)
class Venue:
    """Where they all go, and what they ask for there."""

    address: Address
    path: str
    pause: float
    tally: Tally = field(default_factory=Tally)
    door: Semaphore = field(default_factory=lambda: Semaphore(CONNECTING))

    def receive(self, kind: Kind) -> socket.socket:
        """One client's life; its connection stays open."""
        connection = socket.socket()
        if kind.then is sip:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with self.door:
            connection.bind((FROM, 0))
            connection.connect(self.address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall((kind.first % self.path).encode())
            if kind.then is stay_idle:
                self.tally.hear(connection.recv(65536))
        self.tally.arrived += 1
        with suppress(OSError):  # a reset sends away as well
            kind.then(connection, self.tally, self.pause)
        self.tally.gone += 1
        return connection


def main(address: str, kind: str, count: str, path: str, pause: str) -> None:
    """Keeps the crowd until the input ends."""
    os.nice(10)  # whoever measures what others notice must not be kept waiting by us
    host, _, port = address.rpartition(":")
    venue = Venue((host, int(port)), path, float(pause))
    crowd = [gevent.spawn(venue.receive, KINDS[kind]) for _ in range(int(count))]
    for _line in FileObject(sys.stdin.fileno(), "rb"):
        print(venue.tally.as_json(), flush=True)
    print(venue.tally.as_json(), flush=True)
    gevent.killall(crowd)


if __name__ == "__main__":
    main(*sys.argv[1:])
