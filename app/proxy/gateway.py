"""The story of one request: a server is chosen, a connection lent, the head sent, the answer's head read.

Both fronts tell it the same way: `Gateway.open` gives an Exchange, and the front passes it on to the client.
A request reads the snapshot once. Nothing here waits for anything but the client and the server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from app.clock import Clock
from app.errors import UpstreamError
from app.proxy.exchange import BodySource, Exchange
from app.proxy.fleet import Snapshot
from app.proxy.stats import Stats
from app.upstream.connection import Connection
from app.wire.forward import request_head
from app.wire.forwarded import Origin, Trust, trace
from app.wire.head import Request, Response

# RFC 9110, 9.2.2: received twice, they mean the same as once.
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


@dataclass(slots=True, eq=False)
class Client:
    """What the gateway must know of the client's connection.

    `provenance`: the field lines that tell the server where a request came from (see wire.forward).
    `interim`: passes a 1xx response on.
    `exchange`: the one under way, or the last; the gateway sets it.
    """

    address: bytes
    secure: bool
    provenance: bytes
    interim: Callable[[Response], None]
    exchange: Exchange | None = None

    def trace(self, request: Request, trusts: Trust) -> Origin:
        """Where a request comes from that says so itself."""
        scheme = "https" if self.secure else "http"
        return trace(request.told or {}, self.address.decode(), scheme, request.host, trusts)


class Lane(Protocol):
    """An open client connection."""

    def retire(self) -> None:
        """The process is going: end the connection as soon as no request is under way."""


class Gateway:
    """`snapshot` is the config in force, replaced by one assignment; before the first it has no servers.

    `lanes`: the open client connections of the fast lane. `draining`: answers end their connections.
    """

    __slots__ = ("_id_prefix", "_ids", "clock", "draining", "lanes", "snapshot", "stats")

    def __init__(self, clock: Clock, stats: Stats, snapshot: Snapshot) -> None:
        self.clock = clock
        self.stats = stats
        self.snapshot = snapshot
        self.lanes: set[Lane] = set()
        self.draining = False
        self._id_prefix = os.urandom(6).hex().encode()
        self._ids = count()

    def open(self, request: Request, body: bytes, more: BodySource | None, client: Client) -> Exchange:
        """Carry a request to a server, up to its response's head.

        `body`: the payload that is here already, framed as the server shall see it; `more`: the rest of it.
        Raises BalanceError, UpstreamError, or what `more` raised (WireError, OSError).
        """
        snapshot = self.snapshot
        request.client, secure, provenance = client.address, client.secure, client.provenance
        if request.told:
            origin = client.trace(request, snapshot.trusts)
            request.client, secure, provenance = origin.client, origin.secure, origin.lines
        choice = snapshot.balancer.choose(request)
        stats = self.stats
        stats.choices[choice.how] += 1
        timeouts = snapshot.config.timeouts
        exchange = Exchange(request, choice, stats.versions[choice.server.version], timeouts, self.clock)
        client.exchange = exchange
        if choice.new_visitor is not None:
            exchange.cookie = snapshot.balancer.identity.set_cookie(choice.new_visitor, secure)
        head = request_head(request, provenance, self.identify(request), exchange.pool.authority)
        try:
            self._converse(exchange, head + body, more, snapshot, client)
        except UpstreamError as error:
            exchange.fail(error.reason)
            raise
        except BaseException:
            exchange.abort()
            raise
        return exchange

    def drain(self) -> None:
        """From now on answers end their connections, and idle connections end at once."""
        self.draining = True
        for lane in list(self.lanes):
            lane.retire()

    def identify(self, request: Request) -> bytes:
        """Give a request that has no id a new one, and return it; else b""."""
        if request.request_id:
            return b""
        request.request_id = new_id = b"%b-%x" % (self._id_prefix, next(self._ids))
        return new_id

    @staticmethod
    def _converse(
        exchange: Exchange, message: bytes, more: BodySource | None, snapshot: Snapshot, client: Client
    ) -> None:
        """On an idle connection if there is one; on a new one if the server was just closing that.

        A body that is still to come could not be sent twice: it gets a new connection at once.
        """
        head_bytes = snapshot.config.limits.head_bytes
        connection = exchange.pool.take() if more is None else None
        if connection is not None:
            if exchange.request.method not in IDEMPOTENT:
                connection.mark()
            try:
                exchange.converse(connection, message, more, head_bytes, client.interim)
            except UpstreamError as error:
                if not _may_repeat(exchange.request, connection, error):
                    raise
                exchange.pool.drop(connection)
            else:
                return
        connection = exchange.pool.connect(snapshot.config.timeouts.connect)
        if exchange.fault is not None:
            exchange.pool.drop(connection)
            raise exchange.fault
        exchange.converse(connection, message, more, head_bytes, client.interim)


def _may_repeat(request: Request, connection: Connection, error: UpstreamError) -> bool:
    """RFC 9110, 9.2.2: a request on a connection that the server closed without a word may be sent again,
    unless it may have been read and reading it twice would mean something else."""
    if connection.answered or error.status == 504:
        return False
    return request.method in IDEMPOTENT or not error.sent or connection.untouched()
