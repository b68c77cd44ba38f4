"""What members of an etcd cluster say to each other, passed on byte by byte; or held back, without a word to either."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer

from tests.support.processes import free_port

# Every connection between members begins with a request that says who asks.
_FROM = re.compile(rb"\r\nX-Server-From: ([0-9a-f]+)\r\n", re.IGNORECASE)


class Line:
    """In front of a member, which listens on `target`. A context manager; the port is free and its own.

    `held`: the ids of members of whose connections nothing passes, in neither direction; a client's is "". It is not
    lost: it passes when they are held no longer, as with a network that comes back.
    """

    def __init__(self, target: int | None = None) -> None:
        self.target = target or free_port()
        self.held: set[str] = set()
        self._changed = Event()
        self._server = StreamServer(("127.0.0.1", 0), self._serve, spawn=Pool())

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(timeout=0)

    @property
    def url(self) -> str:
        """Where the other members come."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def hold(self, *members: str) -> None:
        """Hold back what is of these, and nothing else."""
        self.held = set(members)
        self._changed.set()
        self._changed = Event()

    def _serve(self, near: socket.socket, _peer: tuple[str, int]) -> None:
        try:
            begun = near.recv(65536)
            found = _FROM.search(begun)
            member = found[1].decode() if found else ""
            self._wait(member)
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                far.sendall(begun)
                back = gevent.spawn(self._pump, far, near, member)
                self._pump(near, far, member)
                back.kill()
        except OSError:
            pass  # either side has left; the other one sees its connection end

    def _pump(self, source: socket.socket, sink: socket.socket, member: str) -> None:
        try:
            while block := source.recv(65536):
                self._wait(member)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the connection ended under it

    def _wait(self, member: str) -> None:
        while member in self.held:
            self._changed.wait()
