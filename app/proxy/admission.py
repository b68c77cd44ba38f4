"""How many requests may be under way at one time, and the queue of those that wait for others to end.

Whoever ends frees a place for the one that has waited longest. A server that is full is passed over for
another of its version, whoever sticks to it. Decides on the balancer's choice; never chooses a version.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from gevent.event import Event

from app.balance.balancer import Choice
from app.balance.server import Load, Server
from app.errors import Overloaded, SerinError
from app.proxy.fleet import Snapshot
from app.wire.head import Request

if TYPE_CHECKING:
    from app.proxy.gateway import Client


class Waiter:
    """A request that waits for a place at a server of `version`: what is Underway (see lookout) until then."""

    __slots__ = ("between_chunks", "fault", "ready", "request", "server", "version", "waiting")

    def __init__(self, version: str, request: Request) -> None:
        self.version = version
        self.request = request
        self.server: Server | None = None
        self.fault: SerinError | OSError | None = None
        self.ready = Event()
        self.waiting, self.between_chunks = True, False

    def leave(self, fault: SerinError | OSError) -> None:
        """See Underway."""
        self.fault = fault
        self.ready.set()


class Admission:
    """`current` gives the snapshot in force."""

    __slots__ = ("_current", "_queue")

    def __init__(self, current: Callable[[], Snapshot]) -> None:
        self._current = current
        self._queue: deque[Waiter] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def admit(self, choice: Choice, request: Request, client: Client) -> Choice:
        """The choice, or one of another server of its version, once there is room for one more request.

        Raises Overloaded, or why the client has gone. The exchange must begin before anything else happens.
        """
        server = self.room(choice.server)
        if server is None:
            client.exchange = waiter = Waiter(choice.server.version, request)
            server = self._wait(waiter)
        return choice if server is choice.server else choice._replace(server=server)

    def full(self, snapshot: Snapshot, version: str) -> list[Load]:
        """The servers of a version that have no room for one more request."""
        loads = [server.load for server in snapshot.balancer.serving(version)]
        return [load for load in loads if not (_total_has_room(snapshot) and _has_room(load, snapshot))]

    def room(self, server: Server) -> Server | None:
        """This server if it has room, else another of its version that has."""
        snapshot = self._current()
        if not _total_has_room(snapshot):
            return None
        if _has_room(server.load, snapshot):
            return server
        return _place(server.version, snapshot)

    def _wait(self, waiter: Waiter) -> Server:
        limits = self._current().config.limits
        if len(self._queue) >= limits.queue:
            raise Overloaded("queue_full")
        self._queue.append(waiter)
        self._listen()
        try:
            waiter.ready.wait(limits.queue_time)
            if waiter.fault is not None or waiter.server is None:
                raise waiter.fault or Overloaded("queue_timeout")
        except BaseException:
            self._give_up(waiter)
            raise
        waiter.server.load.in_flight -= 1  # what was kept for us; the exchange counts itself
        return waiter.server

    def _give_up(self, waiter: Waiter) -> None:
        if waiter.server is None:
            self._queue.remove(waiter)
        else:
            waiter.server.load.in_flight -= 1
            self._freed(waiter.server.load)

    def recheck(self) -> None:
        """There may be more room, or other servers, than there were."""
        if self._queue:
            self._listen()
        while self._serve_one():
            pass

    def _listen(self) -> None:
        for server in self._current().balancer.servers:
            server.load.on_free = self._freed

    def _freed(self, load: Load) -> None:
        self._serve_one()
        if not self._queue:
            load.on_free = None

    def _serve_one(self) -> bool:
        """Keep a place for who has waited longest of those that can use one."""
        snapshot = self._current()
        if not self._queue or not _total_has_room(snapshot):
            return False
        places = {version: _place(version, snapshot) for version in ("stable", "canary")}
        for waiter in self._queue:
            if (server := places[waiter.version]) is not None:
                server.load.in_flight += 1
                waiter.server = server
                self._queue.remove(waiter)
                waiter.ready.set()
                return True
        return False


def _has_room(load: Load, snapshot: Snapshot) -> bool:
    most = snapshot.config.limits.per_server
    return most is None or load.in_flight < most


def _total_has_room(snapshot: Snapshot) -> bool:
    most = snapshot.config.limits.requests
    if most is None:
        return True
    return sum(load.in_flight for load in {server.load for server in snapshot.balancer.servers}) < most


def _place(version: str, snapshot: Snapshot) -> Server | None:
    """The least busy server of the version, if that has room."""
    servers = snapshot.balancer.serving(version)
    least = min(servers, key=lambda server: server.load.in_flight / server.weight, default=None)
    return least if least is not None and _has_room(least.load, snapshot) else None
