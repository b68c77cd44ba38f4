"""The story of one request: a server is chosen, a connection lent, the head sent, the answer's head read.

Both fronts tell it the same way: `Gateway.open` gives an Exchange, and the front passes it on to the client.
A request reads the snapshot once. Nothing here waits for anything but the client and the server.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

import gevent

from app.clock import Clock
from app.errors import UpstreamError
from app.proxy.admission import Admission
from app.proxy.body_source import BodySource
from app.proxy.errand import Errand, converse
from app.proxy.exchange import Exchange
from app.proxy.fleet import Snapshot
from app.proxy.lookout import Underway
from app.proxy.stats import Stats
from app.proxy.tries import Tries
from app.wire.forward import request_head
from app.wire.forwarded import Origin, Trust, trace
from app.wire.head import Request, Response

if TYPE_CHECKING:
    from app.proxy.tunnel import Tunnel

# Seconds between two looks at whether only tunnels are left.
LAST_LOOK = 0.1


@dataclass(slots=True, eq=False)
class Client:
    """What the gateway must know of the client's connection.

    `provenance`: the field lines that tell the server where a request came from (see wire.forward).
    `interim`: passes a 1xx response on.
    `exchange`: what is under way for it, or the last that was; the gateway sets it.
    """

    address: bytes
    secure: bool
    provenance: bytes
    interim: Callable[[Response], None]
    exchange: Underway | None = None

    def trace(self, request: Request, trusts: Trust) -> Origin:
        """Where a request comes from that says so itself."""
        scheme = "https" if self.secure else "http"
        return trace(request.told or {}, self.address.decode(), scheme, request.host, trusts)


class Lane(Protocol):
    """An open client connection. `tunnel`: it has left HTTP."""

    @property
    def tunnel(self) -> Tunnel | None: ...

    def retire(self) -> None:
        """The process is going: end the connection soon, if no request is under way."""


class Gateway:
    """`snapshot` is the config in force, replaced by one assignment; before the first it has no servers.

    `lanes`: the open client connections of the fast lane. `draining`: answers end their connections.
    """

    __slots__ = (
        *("_ending", "_id_prefix", "_ids", "admission", "clock", "draining", "lanes"),
        *("snapshot", "stats", "tries"),
    )

    def __init__(
        self, clock: Clock, stats: Stats, snapshot: Snapshot, rng: random.Random | None = None
    ) -> None:
        self.clock = clock
        self.stats = stats
        self.snapshot = snapshot
        self.admission = Admission(lambda: self.snapshot)
        rng = rng or random.Random()  # noqa: S311  # spreads load, protects nothing
        self.tries = Tries(clock, stats, self.admission, rng)
        self.lanes: set[Lane] = set()
        self.draining = False
        self._ending: gevent.Greenlet[[], None] | None = None
        self._id_prefix = os.urandom(6).hex().encode()
        self._ids = count()

    def open(self, request: Request, body: bytes, more: BodySource | None, client: Client) -> Exchange:
        """Carry a request to a server, up to its response's head.

        `body`: the payload that is here already, framed as the server shall see it; `more`: the rest of it.
        Raises BalanceError, Overloaded, UpstreamError, or what `more` raised (WireError, OSError).
        """
        snapshot = self.snapshot
        request.client, secure, provenance = client.address, client.secure, client.provenance
        if request.told:
            origin = client.trace(request, snapshot.trusts)
            request.client, secure, provenance = origin.client, origin.secure, origin.lines
        choice, timeouts = snapshot.balancer.choose(request), snapshot.config.timeouts
        if snapshot.careful:
            choice = self.admission.admit(self.tries.at_home(choice, request, snapshot), request, client)
            timeouts = timeouts if more else self.tries.timeouts(snapshot, choice, request)
        self.stats.choices[choice.how] += 1
        exchange = Exchange(request, choice, choice.figures, timeouts, self.clock)
        client.exchange = exchange
        if choice.new_visitor is not None:
            exchange.cookie = snapshot.balancer.identity.set_cookie(choice.new_visitor, secure)
        new_id = self.identify(request)
        head = request_head(request, provenance, new_id, exchange.pool.authority)
        error = None
        try:
            converse(exchange, head + body, more, snapshot, client, tries=self.tries)
            if exchange.response.status < 400:
                return exchange
        except UpstreamError as failed:
            error = failed
        except BaseException:
            exchange.abort()
            raise
        errand = Errand(request, body, more, client, snapshot, choice, provenance, new_id)
        return self.tries.go_on(errand, exchange, error)

    def refresh(self) -> tuple[str, ...]:
        """Other servers may be chosen than before: the versions of which none may be."""
        balancer = self.snapshot.balancer
        balancer.refresh()
        self.admission.recheck()
        return balancer.out

    def drain(self) -> None:
        """From now on answers end their connections; idle connections end soon, tunnels when nothing else is left."""
        if self.draining:
            return
        self.draining = True
        for lane in list(self.lanes):
            lane.retire()
        self._ending = gevent.spawn(self._end_tunnels)

    def _end_tunnels(self) -> None:
        """They would never end by themselves: so they are told last."""
        while self.lanes:
            tunnels = [lane.tunnel for lane in self.lanes if lane.tunnel is not None]
            if len(tunnels) == len(self.lanes) and self._under_way() <= len(tunnels):
                for tunnel in tunnels:
                    tunnel.cut()
            gevent.sleep(LAST_LOOK)

    def _under_way(self) -> int:
        loads = {server.load for server in self.snapshot.balancer.servers}
        return sum(load.in_flight for load in loads)

    def identify(self, request: Request) -> bytes:
        """Give a request that has no id a new one, and return it; else b""."""
        if request.request_id:
            return b""
        request.request_id = new_id = b"%b-%x" % (self._id_prefix, next(self._ids))
        return new_id
