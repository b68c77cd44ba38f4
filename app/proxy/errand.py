"""A request that needs more than one try: all that another one takes, and what the former ones came to.

Does what `tries` has decided. The headers of an answer that is not passed on go with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.balance.balancer import Choice
from app.balance.failure import Failure, failure
from app.balance.retry import IDEMPOTENT
from app.balance.server import Load, Server
from app.clock import Clock
from app.config.model import Timeouts
from app.errors import UpstreamError
from app.proxy.body_source import BodySource
from app.proxy.exchange import Exchange
from app.proxy.fleet import Snapshot
from app.proxy.stats import VersionStats
from app.upstream.connection import Connection
from app.wire.forward import request_head
from app.wire.head import Request

if TYPE_CHECKING:
    from app.proxy.gateway import Client
    from app.proxy.tries import Tries


@dataclass(slots=True, eq=False)
class Errand:
    """`body` is kept, `more` may be. `choice`: of the first try; `servers`: of all tries.

    `last`: the exchange of the last try, and `failed` what became of it, be it well answered. `answered`: the
    last try that was answered; the client gets that answer unless a better one comes. `error`: why the last
    was not. `seen`: the client has seen something of an answer.
    """

    request: Request
    body: bytes
    more: BodySource | None
    client: Client
    snapshot: Snapshot
    choice: Choice
    provenance: bytes
    new_id: bytes
    servers: list[Server] = field(init=False)
    last: Exchange = field(init=False)
    failed: Failure = field(init=False)
    error: UpstreamError | None = field(init=False)
    seen: bool = field(init=False)
    answered: Exchange | None = None

    def __post_init__(self) -> None:
        self.servers = [self.choice.server]

    @property
    def tried(self) -> list[Load]:
        """The servers that have had it."""
        return [server.load for server in self.servers]

    @property
    def is_final(self) -> bool:
        """Has the client seen something of the last answer, or is a part of the body gone that nobody has kept?"""
        return self.seen or (self.failed.sent and self.more is not None and not self.more.kept)

    def hold(self) -> bool:
        """Let the last try have no more of the body. False: it has had too much of it meanwhile."""
        if self.more is not None:
            self.last.stop_sending()
        return not self.is_final

    def settle(self, exchange: Exchange, error: UpstreamError | None) -> None:
        """Take note of how a try ended, and let its server's health know."""
        self.last, self.error = exchange, error
        self.seen = exchange.connection is not None and exchange.connection.hinted
        if error is not None:
            exchange.fail(error.reason)
            self.failed = failure(error)
            return
        self.failed = Failure(exchange.response.status)
        if exchange.response.status >= 500:
            exchange.load.fail()

    def replace(self, answered: Exchange) -> None:
        """The client shall get this answer instead of what there was before."""
        if self.answered is not None:
            self.answered.drop()
        self.answered = answered

    def once_more(
        self, server: Server, stats: VersionStats, timeouts: Timeouts, clock: Clock, tries: Tries
    ) -> Exchange:
        """Try again at `server`; `error` tells of what came of it. Raises what broke the client's side."""
        before = self.last
        if before.fault is not None:
            raise before.fault
        if self.more is not None and self.more.kept:
            self.more.rewind()
        self.servers.append(server)
        exchange = Exchange(self.request, self.choice._replace(server=server), stats, timeouts, clock)
        exchange.cookie, exchange.started, exchange.ends = before.cookie, before.started, before.ends
        self.client.exchange = exchange
        head = request_head(self.request, self.provenance, self.new_id, exchange.pool.authority)
        error = None
        try:
            converse(exchange, head + self.body, self.more, self.snapshot, self.client, tries=tries)
        except UpstreamError as failed:
            error = failed
        except BaseException:
            exchange.abort()
            raise
        self.settle(exchange, error)
        return exchange

    def result(self) -> Exchange:
        """The exchange that the client gets. Raises UpstreamError when no try was answered."""
        if self.answered is None:
            assert self.error is not None
            raise self.error
        self.client.exchange = self.answered
        return self.answered


def converse(
    exchange: Exchange,
    message: bytes,
    more: BodySource | None,
    snapshot: Snapshot,
    client: Client,
    *,
    tries: Tries,
) -> None:
    """On an idle connection if there is one; on a new one if the server was just closing that.

    A body that is still to come could not be sent twice: it gets a new connection at once.
    Raises UpstreamError, or what broke the client's side.
    """
    head_bytes = snapshot.config.limits.head_bytes
    connection = exchange.pool.take() if more is None else None
    if connection is not None:
        if exchange.request.method not in IDEMPOTENT:
            connection.mark()
        try:
            exchange.converse(connection, message, more, head_bytes, client.interim)
        except UpstreamError as error:
            if not _may_repeat(exchange.request, connection, error, lambda: tries.affords(snapshot)):
                raise
            exchange.pool.drop(connection)
        else:
            return
    connection = exchange.pool.connect(snapshot.config.timeouts.connect)
    if exchange.fault is not None:
        exchange.pool.drop(connection)
        raise exchange.fault
    exchange.converse(connection, message, more, head_bytes, client.interim)


def _may_repeat(
    request: Request, connection: Connection, error: UpstreamError, affords: Callable[[], bool]
) -> bool:
    """RFC 9110, 9.2.2: a request on a connection that the server closed without a word may be sent again,
    unless it may have been read and reading it twice would mean something else.

    One that may have been read is a second try to the server, whatever it is to us.
    """
    if connection.answered or error.status == 504:
        return False
    if not error.sent or connection.untouched():
        return True
    return request.method in IDEMPOTENT and affords()
