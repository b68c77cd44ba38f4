"""Confidence sequences: intervals that hold at all looks together with probability 1 − α.

Of θ, how many times as often the canary fails as stable; and of the rate at which one version fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log, log1p
from typing import NamedTuple

from app.rollout.evidence import Bad
from app.rollout.wealth import log_mean

# ln θ from 1/256 to 256, three to each doubling.
_POINTS = tuple(step * log(2) / 3 for step in range(-24, 25))
_THETAS = tuple(exp(point) for point in _POINTS)
_PRIOR = 30.0


class Interval(NamedTuple):
    """What is most likely, and from where to where it may be. None: nothing is known, or there is no bound."""

    estimate: float | None
    low: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """ln of the likelihood of θ, on a grid of θ; sums over bad events, which merge by addition.

    `levels`: Σ ln(θ·w + 1 − w); `slopes`: its derivative by ln θ, how many events of the canary's θ would
    let one expect.
    """

    events: float = 0.0
    canary: float = 0.0
    levels: tuple[float, ...] = (0.0,) * len(_POINTS)
    slopes: tuple[float, ...] = (0.0,) * len(_POINTS)

    def __add__(self, other: Likelihood) -> Likelihood:
        return Likelihood(
            self.events + other.events,
            self.canary + other.canary,
            tuple(map(sum, zip(self.levels, other.levels, strict=True))),
            tuple(map(sum, zip(self.slopes, other.slopes, strict=True))),
        )

    def vector(self) -> tuple[float, ...]:
        """All sums in a row."""
        return (self.events, self.canary, *self.levels, *self.slopes)

    @classmethod
    def of_vector(cls, vector: Sequence[float]) -> Likelihood:
        """From `vector()`. Raises ValueError."""
        events, canary, *sums = map(float, vector)
        if len(sums) != 2 * len(_POINTS):
            raise ValueError(f"{len(sums)} sums, not {2 * len(_POINTS)}")
        return cls(events, canary, tuple(sums[: len(_POINTS)]), tuple(sums[len(_POINTS) :]))

    def after(self, events: Iterable[Bad]) -> Likelihood:
        """With these events, without what is not comparable."""
        return sum((_of(each) for each in map(_among_those_left, events) if each.comparable), start=self)

    def interval(self, alpha: float) -> Interval:
        """θ at a confidence of 1 − `alpha`, by the method of mixtures (Robbins 1970).

        In it are all θ0 for which the mean over the grid of L(θ)/L(θ0) is less than 1/α. ln L is concave in
        ln θ and lies below each of its tangents, so where these cut the bound off, nothing is cut off wrongly.
        """
        if not self.events:
            return Interval(None, 0.0, None)
        heights = [self.canary * point - level for point, level in zip(_POINTS, self.levels, strict=True)]
        bound = log_mean(heights) + log(alpha)
        low, high = -inf, inf
        for point, height, slope in zip(_POINTS, heights, self._rises(), strict=True):
            if slope > 0:
                low = max(low, point + (bound - height) / slope)
            elif slope < 0:
                high = min(high, point + (bound - height) / slope)
        return Interval(self._estimate(), exp(low), exp(high) if self.canary < self.events else None)

    def _rises(self) -> list[float]:
        return [self.canary - slope for slope in self.slopes]

    def _estimate(self) -> float | None:
        """Where the likelihood is highest; within the grid."""
        if self.canary in (0, self.events):
            return None if self.canary else 0.0
        rises = self._rises()
        at = sum(rise > 0 for rise in rises)
        if at in (0, len(rises)):
            return _THETAS[min(at, len(rises) - 1)]
        before, after = rises[at - 1], rises[at]
        return exp(_POINTS[at - 1] + (_POINTS[at] - _POINTS[at - 1]) * before / (before - after))


def _among_those_left(bad: Bad) -> Bad:
    """Whoever is gone must not make a bad canary look better the longer it is there."""
    return bad if bad.at_risk is None else Bad(bad.at_risk, bad.canary, bad.stable)


def _of(bad: Bad) -> Likelihood:
    total, w = bad.total, bad.w
    levels = [log1p((theta - 1) * w) for theta in _THETAS]
    slopes = [theta * w / (1 + (theta - 1) * w) for theta in _THETAS]
    return Likelihood(
        total, bad.canary, tuple(total * each for each in levels), tuple(total * each for each in slopes)
    )


def log_wealth_against(rate: float, bad: float, total: float) -> float:
    """ln of an e-process against "each of `total` is bad with probability `rate`, whatever came before".

    The beta-binomial mixture: Beta(30·p, 30·(1 − p)) over the alternatives to p (Robbins 1970).
    """
    a, b = _PRIOR * rate, _PRIOR * (1 - rate)
    good = total - bad
    return _log_beta(a + bad, b + good) - _log_beta(a, b) - bad * log(rate) - good * log1p(-rate)


def rate_interval(bad: float, total: float, alpha: float) -> Interval:
    """The rate of bad ones at a confidence of 1 − `alpha`: what `log_wealth_against` does not refute."""
    if not total:
        return Interval(None, 0.0, 1.0)
    share = bad / total
    low = _edge(share, 0.0, bad, total, alpha) if bad else 0.0
    high = _edge(share, 1.0, bad, total, alpha) if bad < total else 1.0
    return Interval(share, low, high)


def _edge(inside: float, outside: float, bad: float, total: float, alpha: float) -> float:
    """Between a rate that is not refuted and an end that is, by bisection: the first that is refuted."""
    for _ in range(40):
        middle = (inside + outside) / 2
        if log_wealth_against(middle, bad, total) < -log(alpha):
            inside = middle
        else:
            outside = middle
    return outside


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
