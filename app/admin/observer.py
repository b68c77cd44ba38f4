"""What the verdict needs of one instance, out of figures that are counted anyway; and what is slow at this time.

Each request counts for the ratio that sent it, whatever has become of that meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.admin.report import Observation
from app.proxy.stats import BOUNDS, OURS, Book, Books, VersionStats
from app.rollout import report
from app.rollout.bars import LEAST, PERIOD, bars
from app.rollout.observed import Diverted, Observed, Outcomes, Stratum
from app.rollout.scale import Scale


class Observer:
    """`books` has the live figures. `look` once a second."""

    def __init__(
        self,
        books: Books,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._books = books
        self._clock = clock
        self._wall_clock = wall_clock
        self._set_at = clock()
        self._trial: tuple[str, int] | None = None

    def heed(self, trial: tuple[str, int] | None, over: float | None) -> None:
        """A rollout is under way that tries this canary, or none is. `over`: what its plan calls slow, in seconds."""
        crowd, scale = self._books.crowd, self._books.scale
        if trial not in (None, self._trial) and crowd is not None:
            crowd.begin()
        self._trial = trial
        if over != scale.over:
            self._books.set_scale(Scale(BOUNDS, scale.bars, over))

    def look(self) -> None:
        """Once a minute, and as soon as there can be any, set bars: they must be fixed before what they judge."""
        now, scale = self._clock(), self._books.scale
        if scale.bars and now - self._set_at < PERIOD:
            return
        times = self._books.stable_times()
        if sum(times) >= LEAST:
            self._books.set_scale(Scale(BOUNDS, bars(times, scale.bounds), scale.over))
            self._set_at = now

    def observed(self) -> Observed:
        """The report as of now."""
        self.look()
        crowd = self._books.crowd
        visitors = None if crowd is None else crowd.report()
        return Observed(self._strata(), visitors)

    def observation(self) -> Observation:
        """What of it /metrics tells, for which there is no need to `look`: all but who the visitors are."""
        strata = report.dump(Observed(self._strata()))["strata"]
        return {"at": self._wall_clock(), "sticky": self._books.crowd is not None, "strata": strata}

    def _strata(self) -> tuple[Stratum, ...]:
        return tuple(map(_stratum, self._books.present))


def _stratum(book: Book) -> Stratum:
    diverted = map(_outcomes, book.diverted.values())
    return Stratum(
        book.ratio,
        _outcomes(book.versions["stable"]),
        _outcomes(book.versions["canary"]),
        Diverted(*(each.requests + each.aborts for each in diverted)),
    )


def _outcomes(stats: VersionStats) -> Outcomes:
    """A status of 5xx is a failure; what broke off after its head is not counted twice."""
    failures = {reason: count for reason, count in stats.failures.items() if reason not in OURS}
    requests = sum(stats.answered) + sum(failures.values()) - stats.cut
    if errors := sum(stats.answered[5:]) - stats.cut_errors:
        failures["5xx"] = errors
    return Outcomes(requests, stats.aborts - stats.left, failures, tuple(stats.missed))
