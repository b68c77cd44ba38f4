"""An instance that is told how each of its requests ended, and reports that for the verdict. No clock, no wire."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

from app.rollout.bars import SHARES, Bars, bars
from app.rollout.buckets import SLICES, Buckets
from app.rollout.observed import (
    BARS,
    FAILURES,
    KINDS,
    MOST_RECENT,
    MOST_STRATA,
    Diverted,
    Observed,
    Outcomes,
    Recent,
    Stratum,
    Visitors,
)


class Crowd:
    """What is known of a sticky service's visitors: which buckets sent requests, and which were hit last."""

    __slots__ = ("_canaries", "_canary", "_hit", "_part", "_seen")

    def __init__(self) -> None:
        self._seen = Buckets()
        self.recall()
        self._hit: dict[str, OrderedDict[int, float]] = {kind: OrderedDict() for kind in KINDS}
        self._part = 0

    def see(self, bucket: int, canary: bool) -> None:
        """A request came from there, and went to this version."""
        self._seen.add(bucket)
        if canary and bucket not in self._canary:
            self._canary.add(bucket)
            self._canaries += 1

    def recall(self) -> None:
        """Nobody is on the canary now."""
        self._canary = Buckets()
        self._canaries = 0

    def hit(self, kind: str, ratio: float, bucket: int) -> None:
        """It ended badly. A bucket that is hit again stands where it stood."""
        hits = self._hit[kind]
        hits.setdefault(bucket, ratio)
        if len(hits) > MOST_RECENT:
            hits.popitem(last=False)

    def report(self) -> Visitors:
        """For the next report."""
        self._part = (self._part + 1) % SLICES
        recent = {kind: _grouped(hits) for kind, hits in self._hit.items()}
        return Visitors(self._part, self._seen.slice(self._part), recent, self._canaries)


@dataclass(slots=True, eq=False)
class Standard:
    """What is slow at this time: stable's quantiles, and the plan's own bar."""

    bars: Bars = ()
    over: float | None = None


@dataclass(slots=True, eq=False)
class Counters:
    """Of one version under one ratio. `bucket` is the visitor's, None where visitors do not stick."""

    ratio: float
    canary: bool
    standard: Standard
    crowd: Crowd
    requests: int = 0
    aborts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    late: list[int] = field(default_factory=lambda: [0] * (len(SHARES) + 1))
    over: int = 0

    def succeed(self, seconds: float, bucket: int | None = None) -> None:
        """An answer that is no failure; its head took so long."""
        standard = self.standard
        self.requests += 1
        missed = bisect_left(standard.bars, seconds)
        self.late[missed] += 1
        over = standard.over is not None and seconds > standard.over
        self.over += over
        if bucket is not None:
            self._hit((*BARS[:missed], *BARS[-1:][: int(over)]), bucket)

    def fail(self, kind: str, bucket: int | None = None) -> None:
        """A failure, of the server or of its answer."""
        self.requests += 1
        self.failures[kind] = self.failures.get(kind, 0) + 1
        if bucket is not None:
            self._hit((FAILURES,), bucket)

    def abort(self) -> None:
        """The client left before."""
        self.aborts += 1

    def outcomes(self) -> Outcomes:
        """All of it."""
        beyond = list(accumulate(reversed(self.late[1:])))[::-1]
        return Outcomes(self.requests, self.aborts, dict(self.failures), (*beyond, self.over))

    def _hit(self, kinds: Sequence[str], bucket: int) -> None:
        self.crowd.see(bucket, self.canary)
        for kind in kinds:
            self.crowd.hit(kind, self.ratio, bucket)


@dataclass(slots=True, eq=False)
class Pair:
    """The counters of one ratio."""

    stable: Counters
    canary: Counters
    diverted: int = 0


class Recorder:
    """All that one instance counts for the verdict."""

    __slots__ = ("_crowd", "_pairs", "standard")

    def __init__(self) -> None:
        self.standard = Standard()
        self._crowd = Crowd()
        self._pairs: OrderedDict[float, Pair] = OrderedDict()

    def pair(self, ratio: float) -> Pair:
        """The counters for requests routed by this ratio: the same at each call. Old ratios are forgotten."""
        if not ratio:
            self._crowd.recall()
        pair = self._pairs.get(ratio) or Pair(self._counters(ratio, False), self._counters(ratio, True))
        self._pairs[ratio] = pair
        self._pairs.move_to_end(ratio)
        if len(self._pairs) > MOST_STRATA:
            self._pairs.popitem(last=False)
        return pair

    def set_bars(self, buckets: Sequence[int], bounds: Sequence[float]) -> None:
        """Once a minute: how many of stable's successes within it came within each of `bounds`."""
        self.standard.bars = bars(buckets, bounds, self.standard.bars)

    def observed(self, sticky: bool) -> Observed:
        """The report as of now."""
        strata = tuple(
            Stratum(ratio, pair.stable.outcomes(), pair.canary.outcomes(), Diverted(pair.diverted))
            for ratio, pair in self._pairs.items()
        )
        return Observed(strata, self._crowd.report() if sticky else None)

    def _counters(self, ratio: float, canary: bool) -> Counters:
        return Counters(ratio, canary, self.standard, self._crowd)


def _grouped(hits: OrderedDict[int, float]) -> tuple[Recent, ...]:
    return tuple(
        Recent(ratio, tuple(bucket for bucket, _ in group))
        for ratio, group in groupby(hits.items(), key=lambda hit: hit[1])
    )
