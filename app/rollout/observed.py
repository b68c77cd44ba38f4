"""What one instance reports of its traffic for the verdict; `report` says how that travels.

Everything is cumulative or may come twice: a report that is lost or read again does no harm. Left out from the
start: requests sent by an override, probes, and whatever else the ratio did not decide. An outcome belongs to the
version of the first attempt, shielded or not, and to the ratio in force when the request was routed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

# What a success may be slower than: stable's quantiles of the minute before (see `bars`), and the plan's bar.
BARS = ("p50", "p90", "p99", "over")
FAILURES = "failures"
KINDS = (FAILURES, *BARS)
# A report has at most so many buckets of each kind: the newest.
MOST_RECENT = 1024
# And at most so many ratios: those that were in force last.
MOST_STRATA = 16


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the requests to one version, since the instance started.

    `requests`: those that were answered or failed; `aborts`: those that the client left before. `failures`: of
    `requests`, by kind. `slow`: those whose head was no failure and took longer than each of BARS; 0 where there is no
    bar.
    """

    requests: int = 0
    aborts: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    slow: tuple[int, ...] = (0,) * len(BARS)

    @property
    def failed(self) -> int:
        """All failures."""
        return sum(self.failures.values())

    @property
    def whole(self) -> bool:
        """Is there as much of everything as there was before?"""
        return min(self.requests, self.aborts, *self.failures.values(), *self.slow) >= 0

    def since(self, before: Outcomes) -> Outcomes:
        """What has come since then. A kind of failure that is gone has become less."""
        failures = {**dict.fromkeys(before.failures, 0), **self.failures}
        return Outcomes(
            self.requests - before.requests,
            self.aborts - before.aborts,
            {kind: count - before.failures.get(kind, 0) for kind, count in failures.items()},
            tuple(now - then for now, then in zip(self.slow, before.slow, strict=True)),
        )


class Diverted(NamedTuple):
    """Requests that came while a version was out, by where they went: the ratio did not decide on them."""

    stable: int = 0
    canary: int = 0


@dataclass(frozen=True, slots=True)
class Stratum:
    """The requests that were routed under one ratio. The diverted are in neither version's outcomes."""

    ratio: float
    stable: Outcomes = field(default_factory=Outcomes)
    canary: Outcomes = field(default_factory=Outcomes)
    diverted: Diverted = field(default_factory=Diverted)

    def since(self, before: Stratum) -> Stratum:
        """What has come since then."""
        return Stratum(
            self.ratio,
            self.stable.since(before.stable),
            self.canary.since(before.canary),
            Diverted(*(now - then for now, then in zip(self.diverted, before.diverted, strict=True))),
        )


@dataclass(frozen=True, slots=True)
class Recent:
    """Buckets that something befell under one ratio, in the order of time. Those below the ratio were canaries."""

    ratio: float
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Visitors:
    """What a sticky service needs besides, for there only the first bad event of a bucket counts.

    `seen`: slice number `part` of the set of all buckets that sent a request; each report has the next slice.
    `recent`: by kind (KINDS), the buckets that had their first event of that kind lately; MOST_RECENT at the most.
    `canary`: how many buckets have sent this instance requests for the canary since the ratio was last 0.
    """

    part: int
    seen: bytes
    recent: Mapping[str, tuple[Recent, ...]]
    canary: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """An instance's report, or that part of it. `visitors`: None when visitors do not stick."""

    strata: tuple[Stratum, ...] = ()
    visitors: Visitors | None = None
