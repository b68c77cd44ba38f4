"""A relay between proxies and the config server, to make what happens on the way happen for sure."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer

from tests.support.raw import Address, request_end


class Relay:
    """Passes requests on to `target` and answers back. A context manager; the port is free and its own.

    `target` must be set before anybody asks.
    `cut_watch`: questions for a stream of changes are swallowed, and never answered.
    `gather`: writes are held back until there are so many of them, so that they truly compete.
    `watches` counts those questions, swallowed or not, `writes` the writes, `polls` all others.
    """

    def __init__(self, *, cut_watch: bool = False, gather: int = 1) -> None:
        self.target: Address = ("", 0)
        self.cut_watch = cut_watch
        self.polls = self.watches = self.writes = 0
        self._gather = gather
        self._gathered = Event()
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
        """Its address as it stands in a config document."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def _serve(self, near: socket.socket, _peer: Address) -> None:
        try:
            with socket.create_connection(self.target) as far:
                back = gevent.spawn(_pump, far, near)
                self._pass_on(near, far)
                back.kill()
        except OSError:
            pass  # either side has left; the other one sees its connection end

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        data = b""
        while block := near.recv(65536):
            data += block
            while (end := request_end(data)) is not None:
                self._judge(data[:end], far)
                data = data[end:]

    def _judge(self, request: bytes, far: socket.socket) -> None:
        if request.startswith(b"PUT "):
            self.writes += 1
            self._hold_back()
        elif b"text/event-stream" in request:
            self.watches += 1
            if self.cut_watch:
                Event().wait()  # until the server is stopped
        else:
            self.polls += 1
        far.sendall(request)

    def _hold_back(self) -> None:
        if self.writes >= self._gather:
            self._gathered.set()
        self._gathered.wait()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the connection ended under it
