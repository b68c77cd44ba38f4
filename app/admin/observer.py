"""What the verdict needs of one instance, out of figures that are counted anyway.

The figures of a version only grow. What they grow by while one ratio is in force belongs to that ratio; what they
grow by while a version is out, or while the style does not go by the ratio, to none. A request that is under way
when the ratio changes counts for the new one.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from app.balance.balancer import Balancer
from app.proxy.stats import BOUNDS, VersionStats
from app.rollout.bars import LEAST, PERIOD, bars
from app.rollout.buckets import BUCKETS, SLICES, Buckets, canaries
from app.rollout.observed import (
    BARS,
    FAILURES,
    KINDS,
    MOST_STRATA,
    Observed,
    Outcomes,
    Recent,
    Stratum,
    Visitors,
)

_BY_RATIO = ("ratio", "random", "hash")
VERSIONS = ("stable", "canary")
_NONE = Buckets()


@dataclass(slots=True, eq=False)
class Tally:
    """Outcomes of one version under one ratio, so far."""

    requests: int = 0
    aborts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    slow: list[int] = field(default_factory=lambda: [0] * len(BARS))

    def outcomes(self) -> Outcomes:
        """As they are now."""
        return Outcomes(self.requests, self.aborts, dict(self.failures), tuple(self.slow))


@dataclass(slots=True, eq=False)
class Figures:
    """A version's figures as they were when they were last looked at."""

    answered: int = 0
    errors: int = 0
    aborts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    @classmethod
    def of(cls, stats: VersionStats) -> Figures:
        """As they are now. A status of 5xx is a failure as well."""
        return cls(
            sum(stats.answered),
            stats.answered[5],
            stats.aborts,
            dict(stats.failures),
            list(stats.buckets),
        )


class Observer:
    """`versions` are the live figures, `balancer()` the one in force. `look` before either changes its ways."""

    def __init__(
        self,
        versions: Mapping[str, VersionStats],
        balancer: Callable[[], Balancer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._versions = versions
        self._balancer = balancer
        self._clock = clock
        self._before = {name: Figures() for name in VERSIONS}
        self._strata: OrderedDict[float, dict[str, Tally]] = OrderedDict()
        self._bars: tuple[int, ...] = ()
        self._set_at = clock()
        self._minute = [0] * (len(BOUNDS) + 1)
        self._seen, self._canary = Buckets(), Buckets()
        self._part = 0

    def look(self) -> None:
        """Take in what has come since the last look."""
        balancer = self._balancer()
        grown = {name: self._grown(name) for name in VERSIONS}
        if balancer.config.style in _BY_RATIO and not balancer.out:
            stratum = self._stratum(balancer.config.ratio)
            for name, tally in stratum.items():
                self._add(tally, grown[name])
        self._minute = [sum(pair) for pair in zip(self._minute, grown["stable"].buckets, strict=True)]
        self._set_bars()
        self._take_visitors(balancer)

    def observed(self) -> Observed:
        """The report as of now."""
        self.look()
        strata = tuple(
            Stratum(ratio, pair["stable"].outcomes(), pair["canary"].outcomes())
            for ratio, pair in self._strata.items()
        )
        balancer = self._balancer()
        return Observed(strata, self._visitors(balancer) if balancer.config.sticky_sessions else None)

    def _grown(self, name: str) -> Figures:
        before, now = self._before[name], Figures.of(self._versions[name])
        self._before[name] = now
        return Figures(
            now.answered - before.answered,
            now.errors - before.errors,
            now.aborts - before.aborts,
            {kind: count - before.failures.get(kind, 0) for kind, count in now.failures.items()},
            [new - old for new, old in zip(now.buckets, before.buckets, strict=True)],
        )

    def _stratum(self, ratio: float) -> dict[str, Tally]:
        stratum = self._strata.setdefault(ratio, {name: Tally() for name in VERSIONS})
        self._strata.move_to_end(ratio)
        if len(self._strata) > MOST_STRATA:
            self._strata.popitem(last=False)
        return stratum

    def _add(self, tally: Tally, grown: Figures) -> None:
        tally.requests += grown.answered + sum(grown.failures.values())
        tally.aborts += grown.aborts
        for kind, count in {**grown.failures, "5xx": grown.errors}.items():
            if count:
                tally.failures[kind] = tally.failures.get(kind, 0) + count
        for number, bar in enumerate(self._bars):
            tally.slow[number] += sum(grown.buckets[bar + 1 :])

    def _set_bars(self) -> None:
        """Once a minute, and as soon as there can be any: a bar must be fixed before the events it judges."""
        now = self._clock()
        if now - self._set_at < PERIOD and (self._bars or sum(self._minute) < LEAST):
            return
        found = bars(self._minute, BOUNDS)
        if found:
            self._bars = tuple(bisect_left(BOUNDS, bar) for bar in found)
        self._set_at, self._minute = now, [0] * len(self._minute)

    def _take_visitors(self, balancer: Balancer) -> None:
        ratio = balancer.config.ratio
        if not ratio:
            self._canary = Buckets()
        self._seen.unite(balancer.seen, BUCKETS)
        self._canary.unite(balancer.seen, canaries(ratio))
        balancer.seen[:] = bytes(len(balancer.seen))

    def _visitors(self, balancer: Balancer) -> Visitors:
        self._part = (self._part + 1) % SLICES
        groups = groupby(balancer.hits.items(), key=lambda hit: hit[1])
        recent = tuple(Recent(ratio, tuple(bucket for bucket, _ in group)) for ratio, group in groups)
        told: dict[str, tuple[Recent, ...]] = dict.fromkeys(KINDS, ())
        part = self._seen.slice(self._part)
        return Visitors(self._part, part, told | {FAILURES: recent}, self._canary.count(BUCKETS, _NONE)[0])
