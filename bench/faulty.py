"""A server that misbehaves as it is told, and counts what it is asked.

    python -m bench.faulty PORT VERSION

    /-/manner/NAME   from now on it is like this: `well`, `fails`, `halves`, `resets`
    /-/served        how many requests it has had, but for these two

It does as little as can be, so that the machine has time for others.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from gevent import socket
from gevent.server import StreamServer

from tests.support.processes import Process, answers, fetch, free_port, python
from tests.support.raw import Address

# SO_LINGER, on and 0 seconds: a close is a reset.
RESET = b"\1\0\0\0\0\0\0\0"


class Faulty(Process):
    """One server, a process of its own. It is well until told otherwise, and again after each start."""

    def __init__(self, folder: Path, version: str = "stable") -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        command = python("bench.faulty", str(port), version)
        super().__init__(command, folder / f"{version}-{port}.log", ready=answers(f"{self.url}/-/served"))

    def be(self, manner: str) -> None:
        """From now on."""
        answer = fetch("GET", f"{self.url}/-/manner/{manner}")
        assert answer.ok, answer.text

    def served(self) -> int:
        """How many requests it has had since its last start."""
        return int(fetch("GET", f"{self.url}/-/served").text)


class Server:
    """Answers every request alike, whatever it says; requests have no body."""

    def __init__(self, version: str) -> None:
        self._well = answer("200 OK", version, version)
        self._failed = answer("503 Service Unavailable", f"{version} fails", version)
        self._manners: dict[str, Callable[[], bytes]] = {
            "well": lambda: self._well,
            "fails": lambda: self._failed,
            "halves": lambda: self._failed if random.random() < 0.5 else self._well,
            "resets": lambda: b"",
        }
        self._manner = self._manners["well"]
        self._served = 0

    def serve(self, connection: socket.socket, _peer: Address) -> None:
        """One connection, to its end."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        try:
            while block := connection.recv(65536):
                *requests, data = (data + block).split(b"\r\n\r\n")
                for request in requests:
                    self._answer(connection, request)
        except OSError:
            pass  # either side has reset it
        connection.close()

    def _answer(self, connection: socket.socket, request: bytes) -> None:
        _method, path, _rest = request.split(b" ", 2)
        if path.startswith(b"/-/"):
            connection.sendall(self._told(path.decode()))
            return
        self._served += 1
        said = self._manner()
        if said:
            connection.sendall(said)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raise ConnectionResetError

    def _told(self, path: str) -> bytes:
        what, _, name = path.removeprefix("/-/").partition("/")
        if what == "served":
            return answer("200 OK", str(self._served))
        if what == "manner" and name in self._manners:
            self._manner = self._manners[name]
            return answer("200 OK", name)
        return answer("404 Not Found", f"it may be {', '.join(self._manners)}")


def answer(status: str, text: str, version: str = "") -> bytes:
    """A whole one."""
    field = f"X-Version: {version}\r\n" if version else ""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n{field}\r\n{text}".encode()


def main(port: str, version: str) -> None:
    """Serves until it is ended."""
    StreamServer(("127.0.0.1", int(port)), Server(version).serve, backlog=1024).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
