"""What the times of successes are sorted by: the bounds of a histogram, and between them the bars of this time.

One search among all of these finds both the bucket to count in and the bars that were missed, which are then exact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.rollout.bars import Bars
from app.rollout.observed import BARS


@dataclass(frozen=True, slots=True)
class Scale:
    """`histogram`: bounds in seconds, the same for ever. `bars`: stable's quantiles; `over`: the plan's own bar.

    A bucket is named by the place of its upper bound in `bounds`; there is one more, for what lies above.
    """

    histogram: tuple[float, ...]
    bars: Bars = ()
    over: float | None = None
    bounds: tuple[float, ...] = field(init=False)
    _first_slow: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        by_name = dict(zip(BARS, self.bars, strict=False)) | (
            {} if self.over is None else {"over": self.over}
        )
        bounds = tuple(sorted({*self.histogram, *by_name.values()}))
        never = len(bounds) + 1
        first_slow = (bounds.index(by_name[bar]) + 1 if bar in by_name else never for bar in BARS)
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "_first_slow", tuple(first_slow))

    @property
    def buckets(self) -> int:
        """How many there are."""
        return len(self.bounds) + 1

    def missed(self, bucket: int) -> list[int]:
        """The places in BARS of those that an answer in this bucket has missed."""
        return [place for place, first in enumerate(self._first_slow) if bucket >= first]

    def slow(self, counts: Sequence[int]) -> list[int]:
        """How many have missed each of BARS."""
        return [sum(counts[first:]) for first in self._first_slow]

    def as_histogram(self, counts: Sequence[int]) -> list[int]:
        """The same counts without the bars between the bounds."""
        found = [0] * (len(self.histogram) + 1)
        for bound, count in zip(self.bounds, counts, strict=False):
            found[bisect_left(self.histogram, bound)] += count
        found[-1] += counts[-1]
        return found
