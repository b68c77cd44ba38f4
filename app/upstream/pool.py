"""The connections to one server.

Idle ones wait in a list, the last one in is the first one out, so that few stay warm. A connection on which
the server says anything while it is idle, most often good-bye, leaves the pool at once; so does one that has
been idle too long.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable

import gevent

from app.clock import Clock
from app.errors import UpstreamError
from app.stream import Stream
from app.upstream.address import Address, Endpoint
from app.upstream.connection import Connection, connect_timeout, open_socket, upstream_error
from app.upstream.tls import ServerTls


class Pool:
    """`resolve` looks the server's name up; `connect` before that, or while the name is unknown, fails.

    `tls`: how the connections are secured, if they are.
    """

    def __init__(
        self,
        address: Address,
        clock: Clock,
        open_socket: Callable[[Endpoint, float], _socket.socket] = open_socket,
        tls: ServerTls | None = None,
    ) -> None:
        self.address = address
        self.authority = address.authority
        self.tls = tls
        self._clock = clock
        self._open_socket = open_socket
        self._idle: list[Connection] = []
        self._endpoints: list[Endpoint] = []
        self._closed = False

    def resolve(self) -> None:
        """Look the server's name up (again); the last answer stays in use until there is a new one.

        Raises UpstreamError when there never was one.
        """
        if self._endpoints and self.address.is_literal:
            return
        try:
            self._endpoints = self.address.resolve()
        except UpstreamError:
            if not self._endpoints:
                raise

    def take(self) -> Connection | None:
        """The warmest idle connection, if there is one.

        One on which something came just now, before the hub could tell us, would answer with that.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.stream.quiet():
                connection.idle = connection.answered = connection.hinted = False
                return connection
            self.drop(connection)
        return None

    def give(self, connection: Connection, idle_seconds: float) -> None:
        """Take back a connection whose exchange ended cleanly."""
        if self._closed or connection.timed_out:
            self.drop(connection)
            return
        connection.idle = True
        connection.deadline = self._clock.now + idle_seconds
        self._idle.append(connection)
        connection.stream.watch()

    def connect(self, timeout: float) -> Connection:
        """A new connection, to the first of the server's endpoints that lets us in. Raises UpstreamError."""
        refused = UpstreamError("name_not_found", 502, sent=False)
        for endpoint in list(self._endpoints):
            try:
                stream = self._open(endpoint, timeout)
            except UpstreamError as error:
                refused = error
                continue
            # Stable, and at peace with a resolver that has replaced the list meanwhile.
            self._endpoints.sort(key=lambda each: each != endpoint)
            connection = Connection(stream, self._leave)
            self._clock.watch(connection)
            return connection
        raise refused

    def _open(self, endpoint: Endpoint, timeout: float) -> Stream:
        """`timeout` is for both handshakes, TCP's and that of TLS."""
        if self.tls is None:
            return Stream(self._open_socket(endpoint, timeout))
        with gevent.Timeout(timeout, connect_timeout()):
            return self._secured(Stream(self._open_socket(endpoint, timeout)), self.tls)

    @staticmethod
    def _secured(stream: Stream, tls: ServerTls) -> Stream:
        try:
            return tls.connect(stream)
        except OSError as error:
            stream.close()
            raise upstream_error(error, sent=False) from error
        except BaseException:
            stream.close()
            raise

    def drop(self, connection: Connection) -> None:
        """Close a connection that cannot be used again."""
        self._clock.forget(connection)
        connection.close()

    def close(self) -> None:
        """Close what is idle now, and what is lent out when it comes back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            self.drop(connection)

    def _leave(self, connection: Connection) -> None:
        self._idle.remove(connection)
        self.drop(connection)
