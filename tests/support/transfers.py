"""Large bodies between a sender in no need of rest and a receiver who is slow at first, each in a process.

    with Origin() as origin, Transfers(stack.address, "upload", 20, 64 * 2**20) as transfers:
        transfers.wait_ended()

Slow is 16 KiB every 20 ms. What is sent is never made and what is received never looked at (sendfile,
MSG_TRUNC): both sides cost little, and others must see to it that bytes arrive as they were.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.processes import answers, free_port, python, wait_until
from tests.support.raw import Address
from tests.support.reporter import Reporter

MIB = 2**20
SIP, PAUSE = 16 * 1024, 0.02


class Origin(Reporter):
    """The server of both: sends as many bytes as a GET's query says, and receives slowly what is uploaded."""

    def __init__(self, slow: float = 1.0) -> None:
        self.port = free_port()
        super().__init__(python("tests.support.transfers", "serve", str(self.port), str(slow)))

    @property
    def url(self) -> str:
        """As it stands in a config document."""
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        """Until it answers."""
        wait_until(answers(f"{self.url}/?size=1"), what="an origin")


class Transfers(Reporter):
    """`count` transfers at once of `size` bytes each, to or from `path`. `direction`: "upload" or "download".

    `slow`: so many seconds a download's receiver is slow; an upload's is the server.
    """

    def __init__(
        self, address: Address, direction: str, count: int, size: int, *, slow: float = 1.0, path: str = "/"
    ) -> None:
        arguments = (direction, f"{address[1]}{path}", str(slow), str(count), str(size))
        super().__init__(python("tests.support.transfers", *arguments))
        self._count = count

    def wait_ended(self, deadline: float = 30.0) -> None:
        """Until all have ended, well or not: see `failures` in the report."""
        wait_until(lambda: self.ask()["ended"] == self._count, deadline, what="all transfers", pause=0.05)


@dataclass(slots=True)
class Tally:
    """What became of each transfer that has ended: the bytes received, or why it failed."""

    outcomes: list[int | str] = field(default_factory=list)

    def as_json(self) -> str:
        """One line."""
        failures = [outcome for outcome in self.outcomes if isinstance(outcome, str)]
        received = sum(outcome for outcome in self.outcomes if isinstance(outcome, int))
        return json.dumps({"ended": len(self.outcomes), "bytes": received, "failures": failures})


class Wire:
    """One connection, blocking; heads are read, bodies only counted."""

    filler = os.memfd_create("filler")
    os.truncate(filler, MIB)

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._early = b""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, head: str) -> None:
        """Sends a head; lines end in \\n here."""
        self._connection.sendall(f"{head}\n\n".replace("\n", "\r\n").encode())

    def head(self) -> str:
        """The next head; "" at the end of the connection."""
        data, self._early = self._early, b""
        while b"\r\n\r\n" not in data:
            block = self._connection.recv(65536)
            if not block:
                return ""
            data += block
        head, _, self._early = data.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def pour(self, size: int) -> None:
        """Sends a body as fast as it is taken."""
        while size:
            size -= os.sendfile(self._connection.fileno(), self.filler, 0, min(size, MIB))

    def sip(self, size: int, slow: float) -> None:
        """Receives a body; slowly for the first seconds."""
        buffer, haste = bytearray(MIB), time.monotonic() + slow
        size -= len(self._early)
        self._early = b""
        while size:
            slowly = time.monotonic() < haste
            count = self._connection.recv_into(buffer, min(size, SIP if slowly else MIB), socket.MSG_TRUNC)
            if not count:
                raise ConnectionError(f"closed with {size} bytes to come")
            size -= count
            if slowly:
                time.sleep(PAUSE)


def serve(connection: socket.socket, slow: float) -> None:
    """One connection of the server, until the client leaves."""
    wire = Wire(connection)
    with connection, suppress(OSError):
        while head := wire.head():
            answer(wire, head, slow)


def answer(wire: Wire, head: str, slow: float) -> None:
    """One request of the server."""
    if length := re.search(r"\r\ncontent-length: *(\d+)", head, re.IGNORECASE):
        wire.sip(int(length[1]), slow)
        wire.say(f"HTTP/1.1 200 OK\nContent-Length: 0\nX-Received: {length[1]}")
    else:
        size = int(re.findall(r"size=(\d+)", head)[0])
        wire.say(f"HTTP/1.1 200 OK\nContent-Length: {size}")
        wire.pour(size)


def accept(listener: socket.socket, slow: float) -> None:
    """The server."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, slow), daemon=True).start()


def upload(wire: Wire, path: str, size: int, _slow: float) -> None:
    """Raises AssertionError when the server did not receive all of it."""
    wire.say(f"POST {path} HTTP/1.1\nHost: a\nContent-Length: {size}")
    wire.pour(size)
    head = wire.head()
    assert f"x-received: {size}" in head.lower(), head


def download(wire: Wire, path: str, size: int, slow: float) -> None:
    """Raises AssertionError when it is refused, ConnectionError when it is cut."""
    wire.say(f"GET {path}?size={size} HTTP/1.1\nHost: a")
    head = wire.head()
    assert f"content-length: {size}" in head.lower(), head
    wire.sip(size, slow)


DIRECTIONS = {"upload": upload, "download": download}


def transfer(direction: str, target: str, size: int, slow: float, tally: Tally) -> None:
    """One transfer, and what became of it."""
    port, _, path = target.partition("/")
    try:
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            DIRECTIONS[direction](Wire(connection), f"/{path}", size, slow)
        tally.outcomes.append(size)
    except (OSError, AssertionError) as error:
        tally.outcomes.append(f"{type(error).__name__}: {error}")


def main(role: str, target: str, slow: str, count: str = "0", size: str = "0") -> None:
    """Serves on the port `target`, or transfers to or from the port and path `target`, until the input ends."""
    tally = Tally()
    if role == "serve":
        listener = socket.create_server(("127.0.0.1", int(target)), backlog=4096)
        threading.Thread(target=accept, args=(listener, float(slow)), daemon=True).start()
    for _ in range(int(count)):
        arguments = (role, target, int(size), float(slow), tally)
        threading.Thread(target=transfer, args=arguments, daemon=True).start()
    for _line in sys.stdin.buffer:
        print(tally.as_json(), flush=True)
    print(tally.as_json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
