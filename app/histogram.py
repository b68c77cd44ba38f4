"""Quantiles estimated from the counts of a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate


def quantile(share: float, buckets: Sequence[int], bounds: Sequence[float]) -> float | None:
    """The value below which `share` of the observations lie, None without any.

    `bounds` are the buckets' upper bounds; there is one bucket more, for what lies above the last of them. As
    Prometheus' histogram_quantile does: evenly spread inside a bucket, and never more than the last bound.
    """
    total = sum(buckets)
    if not total:
        return None
    rank = share * total
    bucket, below = _bucket(rank, buckets)
    if bucket == len(bounds):
        return bounds[-1]
    low = bounds[bucket - 1] if bucket else 0.0
    return low + (bounds[bucket] - low) * (rank - below) / buckets[bucket]


def _bucket(rank: float, buckets: Sequence[int]) -> tuple[int, int]:
    """The first bucket that is not empty and holds the observation of that rank, and how many lie before it."""
    for bucket, up_to in enumerate(accumulate(buckets)):
        if up_to >= rank and buckets[bucket]:
            return bucket, up_to - buckets[bucket]
    raise ValueError("the rank is beyond the observations")
