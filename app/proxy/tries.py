"""What follows a first try that failed: another server, the other version, or nothing.

Told only of requests whose first try failed, or was answered 4xx or 5xx. All that may follow is bounded by one
budget, so that a collapse is never amplified; an answer of which the client has seen anything stays the answer.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import gevent

from app.balance.balancer import Choice
from app.balance.failure import Failure
from app.balance.retry import Budget
from app.balance.server import Server
from app.clock import Clock
from app.config.model import Timeouts
from app.errors import UpstreamError
from app.proxy.admission import Admission
from app.proxy.errand import Errand
from app.proxy.exchange import Exchange
from app.proxy.fleet import Snapshot
from app.proxy.stats import Stats
from app.wire.head import Request

OTHER = {"stable": "canary", "canary": "stable"}
LATE = Failure("timeout")


class Way(NamedTuple):
    """Where a request goes next, why (`retry`, `shield`, `rescue`), and how many seconds later."""

    server: Server
    reason: str
    pause: float = 0.0


class Tries:
    """The rules are those of the snapshot that a request began with. `tick` is to be called once a second."""

    __slots__ = ("_admission", "_budget", "_clock", "_rng", "_stats")

    def __init__(self, clock: Clock, stats: Stats, admission: Admission, rng: random.Random) -> None:
        self._clock = clock
        self._stats = stats
        self._admission = admission
        self._rng = rng
        self._budget = Budget(0.0)

    def tick(self) -> None:
        """Let the budget's window move on."""
        self._budget.tick(self._stats.requests)

    def at_home(self, choice: Choice, request: Request, snapshot: Snapshot) -> Choice:
        """The choice, or one of the version that is known to have the file asked for: no ratio has a say in that."""
        if snapshot.rescue is None:
            return choice
        version = snapshot.rescue.home(request.method, request.path, self._clock.now)
        if not version:
            return choice
        apart = self._stats.books.apart
        if version == choice.server.version:
            return choice._replace(figures=apart[version])
        server = snapshot.balancer.another(version, request, choice.new_visitor, ())
        if server is None:
            return choice._replace(figures=apart[choice.server.version])
        return Choice(server, choice.new_visitor, "rescue", apart[version])

    def timeouts(self, snapshot: Snapshot, choice: Choice, request: Request, tries: int = 1) -> Timeouts:
        """The time limits of a try: tighter if another may follow when it is late."""
        if snapshot.hurried is None:
            return snapshot.config.timeouts
        serving = snapshot.balancer.serving
        others = serving(choice.server.version)[tries:] and snapshot.retry.allows(request.method, LATE, tries)
        shielded = tries == 1 and serving("stable") and _is_shielded(snapshot, choice, request, LATE)
        return snapshot.hurried if others or shielded else snapshot.config.timeouts

    def affords(self, snapshot: Snapshot, *, shield: bool = False) -> bool:
        """Take leave of the budget to send a request once more."""
        self._budget.adopt(snapshot.config.retry.budget)
        affords = self._budget.take(self._stats.requests, shield=shield)
        if not affords:
            self._stats.tries["over_budget"] += 1
        return affords

    def go_on(self, errand: Errand, exchange: Exchange, error: UpstreamError | None) -> Exchange:
        """After a first try that ended in `error`, or else was answered: the exchange that the client gets.

        Raises UpstreamError when no try was answered, or what broke the client's side meanwhile.
        """
        errand.settle(exchange, error)
        if error is None:
            errand.replace(exchange)
        try:
            if errand.failed.kind == 404:
                self._rescue(errand)
            else:
                self._repeat(errand)
        except BaseException:
            if errand.answered is not None:
                errand.answered.drop()
            raise
        return errand.result()

    def _repeat(self, errand: Errand) -> None:
        """Until a try goes well, or no other may follow."""
        reason = ""
        while way := self._way(errand):
            reason = reason or way.reason
            later = self._follow(errand, way)
            if errand.error is None:
                errand.replace(later)
        if reason and errand.answered is errand.last and errand.last.response.status < 500:
            self._spared(errand, reason)

    def _way(self, errand: Errand) -> Way | None:
        if errand.is_final or self._clock.now >= errand.last.ends:
            return None
        way = self._shield(errand) or self._retry(errand)
        return way if way and self._affords(errand, way.reason) else None

    def _shield(self, errand: Errand) -> Way | None:
        """The canary's failure is answered for by stable."""
        is_first = len(errand.servers) == 1
        if not is_first or not _is_shielded(errand.snapshot, errand.choice, errand.request, errand.failed):
            return None
        server = self._another(errand, "stable")
        return Way(server, "shield") if server else None

    def _retry(self, errand: Errand) -> Way | None:
        """A server's failure is answered for by another of its version."""
        rule, tries = errand.snapshot.retry, len(errand.servers)
        if not rule.allows(errand.request.method, errand.failed, tries):
            return None
        server = self._another(errand, errand.servers[-1].version)
        return Way(server, "retry", rule.pause(errand.failed, tries, self._rng)) if server else None

    def _rescue(self, errand: Errand) -> None:
        """What one version has not found is looked for at the other one, which is then remembered."""
        rescue, path, now = errand.snapshot.rescue, errand.request.path, self._clock.now
        if rescue is None or errand.is_final or not rescue.is_worth_it(errand.request.method, path, now):
            return
        server = self._another(errand, OTHER[errand.servers[0].version])
        if server is None or not self._affords(errand, "rescue"):
            return
        later = self._follow(errand, Way(server, "rescue"))
        if errand.error is not None:
            return
        if later.response.status < 400:
            rescue.remember(path, server.version, now)
            errand.replace(later)
            self._spared(errand, "rescue")
            return
        if later.response.status == 404:
            rescue.remember(path, "", now)
        later.drop()

    def _another(self, errand: Errand, version: str) -> Server | None:
        """A server that has not had this request and has room for one more."""
        snapshot, choice = errand.snapshot, errand.choice
        no_room = self._admission.full(snapshot, version) if snapshot.careful else []
        return snapshot.balancer.another(version, errand.request, choice.new_visitor, errand.tried + no_room)

    def _affords(self, errand: Errand, reason: str) -> bool:
        affords = self.affords(errand.snapshot, shield=reason == "shield")
        if affords:
            self._stats.tries[reason] += 1
        return affords and errand.hold()

    def _follow(self, errand: Errand, way: Way) -> Exchange:
        if way.pause:
            gevent.sleep(way.pause)
        choice = errand.choice._replace(server=way.server)
        timeouts = self.timeouts(errand.snapshot, choice, errand.request, len(errand.servers) + 1)
        return errand.once_more(way.server, self._stats.again, timeouts, self._clock, self)

    @staticmethod
    def _spared(errand: Errand, reason: str) -> None:
        errand.choice.figures.spared[reason] += 1


def _is_shielded(snapshot: Snapshot, choice: Choice, request: Request, failed: Failure) -> bool:
    """Whoever asks for the canary with an override wants to see what it does."""
    if choice.server.version != "canary" or choice.how == "override":
        return False
    has_key = request.header(b"idempotency-key") is not None
    return snapshot.shield.covers(request.method, has_key, failed)
