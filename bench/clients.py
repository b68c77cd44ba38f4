"""Clients of a proxy that is changed: each on its own kept-alive connection, counting every request that is lost.

    python -m bench.clients HOST:PORT CLIENTS PAUSE

Lost is a request that gets another status than 200, or no whole answer. Before it asks, a client looks
whether the server has closed the connection in the meantime, and then takes a new one (RFC 9112, 9.5): that
loses nothing. As a process of its own it is asked as tests.support.reporter says.
"""

from __future__ import annotations

import json
import sys
from select import select

import gevent
from gevent import socket
from gevent.fileobject import FileObject

from tests.support.processes import python, wait_until
from tests.support.raw import Address
from tests.support.reporter import Reporter
from tests.support.visitors import is_whole, parse_head

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: clients\r\n\r\n"
DEADLINE = 10.0


class Clients(Reporter):
    """`count` of them, `pause` seconds between an answer and the next request. The report: `requests`, `lost`."""

    def __init__(self, address: Address, count: int, pause: float) -> None:
        host, port = address
        super().__init__(python("bench.clients", f"{host}:{port}", str(count), str(pause)))
        self._count = count

    def wait_begun(self) -> None:
        """Until there were several requests of each."""
        wait_until(lambda: self.ask()["requests"] > 5 * self._count, what="the load", pause=0.05)


class Client:
    """One request at a time; `requests` and `lost` count them."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: socket.socket | None = None
        self.requests = 0
        self.lost = 0

    def ask(self) -> str:
        """What the answer's body says: the name of a version. Empty when the request was lost."""
        self.requests += 1
        try:
            return self._ask()
        except (OSError, ValueError):
            self.lost += 1
            self.close()
            return ""

    def close(self) -> None:
        """Leave the server; the next request takes a new connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def stay(self, pause: float) -> None:
        """Asks for ever."""
        while True:
            self.ask()
            gevent.sleep(pause)

    def _ask(self) -> str:
        connection = self._kept() or self._connect()
        connection.sendall(REQUEST)
        head, _, body = _answer(connection).partition(b"\r\n\r\n")
        status, headers = parse_head(head)
        if status != "200":
            raise ValueError(status)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return body.decode().strip()

    def _kept(self) -> socket.socket | None:
        """The connection, unless there is something to read from it before anything was asked: its end."""
        if self._connection is not None and select([self._connection], [], [], 0)[0]:
            self.close()
        return self._connection

    def _connect(self) -> socket.socket:
        self._connection = socket.create_connection(self._address, timeout=DEADLINE)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection


def _answer(connection: socket.socket) -> bytes:
    """A whole answer. Raises OSError, ValueError."""
    answer = b""
    while not is_whole(answer):
        block = connection.recv(65536)
        if not block:
            raise ConnectionError("closed before the end of the answer")
        answer += block
    return answer


def main(address: str, count: str, pause: str) -> None:
    """Asks until the input ends; requests that are under way then do not count."""
    host, _, port = address.rpartition(":")
    clients = [Client((host, int(port))) for _ in range(int(count))]
    running = [gevent.spawn(client.stay, float(pause)) for client in clients]
    for _line in FileObject(sys.stdin.fileno(), "rb"):
        print(report(clients), flush=True)
    gevent.killall(running)
    print(report(clients), flush=True)


def report(clients: list[Client]) -> str:
    """One line of JSON."""
    figures = ("requests", "lost")
    return json.dumps({name: sum(getattr(client, name) for client in clients) for name in figures})


if __name__ == "__main__":
    main(*sys.argv[1:])
