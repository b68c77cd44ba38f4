"""What came between two looks, sorted by what it is evidence of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.rollout.evidence import LEAST_CHANCE, Bad
from app.rollout.intake import Arrivals
from app.rollout.observed import BARS, FAILURES, Stratum


@dataclass(frozen=True, slots=True)
class Look:
    """What has come since the last look, of all instances together.

    `failures`, `slow` (by bar): the bad events. `alone`: the canary's failures and requests where stable had no
    share. `hits` of `tried`: the canary's failures and requests; or visitors, where they stick.
    """

    failures: Sequence[Bad] = ()
    slow: Mapping[str, Sequence[Bad]] = field(default_factory=dict)
    alone: tuple[float, float] = (0.0, 0.0)
    hits: float = 0.0
    tried: float = 0.0


def gathered(arrivals: Arrivals) -> Look:
    """Of these arrivals. What the share of the canary leaves nothing to compare with is held against it alone."""
    strata, firsts = arrivals.strata, arrivals.firsts
    alone = [each.canary for each in (*strata, *arrivals.stuck) if each.ratio > 1 - LEAST_CHANCE]
    canaries_hit = sum(each.canary for each in firsts[FAILURES])
    return Look(
        failures=[*_failures(strata), *firsts[FAILURES]],
        slow={bar: [*_slow(strata, index), *firsts[bar]] for index, bar in enumerate(BARS)},
        alone=(sum(each.failed for each in alone), sum(each.requests for each in alone)),
        hits=sum(each.canary.failed for each in strata) + canaries_hit,
        tried=sum(each.canary.requests for each in strata) + arrivals.visitors,
    )


def _failures(strata: Iterable[Stratum]) -> Iterable[Bad]:
    return (Bad(each.ratio, each.canary.failed, each.stable.failed) for each in strata)


def _slow(strata: Iterable[Stratum], bar: int) -> Iterable[Bad]:
    return (Bad(each.ratio, each.canary.slow[bar], each.stable.slow[bar]) for each in strata)
