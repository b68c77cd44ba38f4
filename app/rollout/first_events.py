"""Sticky visitors: of each bucket only the first bad event counts, and what w was at it.

Failures of one visitor are no independent draws: a test of single requests takes one unlucky visitor for many.
Among first events, the probability that the next is a canary's follows from who is left: the risk set of the
logrank test (Mantel 1966; anytime-valid in ter Schure, Pérez-Ortiz, Ly and Grünwald 2024). That is so where all who
are left may still be hit. Where visitors come and go, most of a risk set has gone, and its chance surplus of one
version stays: a healthy canary would be taken for a bad one too often. Hence the ratio, which drew each visitor by
himself, is told beside it (see evidence).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.rollout.buckets import Buckets, canaries
from app.rollout.evidence import Bad
from app.rollout.observed import Recent

# Who is left is counted anew before one in so many of the smaller version's buckets have gone.
_FINENESS = 64


def first_events(recent: Iterable[Recent], seen: Buckets, hit: Buckets) -> list[Bad]:
    """The events of buckets that are not in `hit` yet; they are put in.

    At risk are the buckets of a version that are in `seen` and not in `hit`. Those that never sent a request are
    not: where visitors are few, the canary's would hardly become fewer however many were hit, and the more a bad
    canary had hit, the better it would look.
    """
    return [
        event
        for ratio, buckets in _new(recent, hit).items()
        for event in _at_one_ratio(ratio, buckets, seen, hit)
    ]


def _new(recent: Iterable[Recent], hit: Buckets) -> dict[float, list[int]]:
    """By ratio, in order, each bucket once."""
    found: dict[float, list[int]] = {}
    known: set[int] = set()
    for group in recent:
        buckets = [
            bucket for bucket in dict.fromkeys(group.buckets) if bucket not in known and bucket not in hit
        ]
        known.update(buckets)
        found.setdefault(group.ratio, []).extend(buckets)
    return found


def _at_one_ratio(ratio: float, buckets: list[int], seen: Buckets, hit: Buckets) -> Iterator[Bad]:
    for bucket in buckets:
        seen.add(bucket)
    end = canaries(ratio)
    canary, stable = seen.count(end, hit)
    while buckets:
        size = max(1, min(canary, stable) // _FINENESS)
        chunk, buckets = buckets[:size], buckets[size:]
        canaries_hit = sum(bucket < end for bucket in chunk)
        yield Bad(ratio, canaries_hit, len(chunk) - canaries_hit, canary / (canary + stable))
        canary, stable = canary - canaries_hit, stable - (len(chunk) - canaries_hit)
        for bucket in chunk:
            hit.add(bucket)
