"""What bad events say about the canary: the bets on them, as sums that instances merge by addition.

Only bad events are looked at. If the canary fails θ times as often as stable, then a bad event is the canary's
with probability θ·w / (θ·w + 1 − w), w being the probability with which its request was sent to the canary. How
often requests fail at all, and whatever shakes both versions at once, cancels. Knows nothing of time or looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log, log1p
from typing import NamedTuple

# An event whose version was as good as certain is left out. Its w must not be clamped instead: at a true w of 1
# each of the canary's failures, which it cannot help having, would count as evidence against it.
LEAST_CHANCE = 0.001


class Bad(NamedTuple):
    """Bad events of requests that were sent to the canary with the same probability `w`, by version.

    `at_risk`: where they are first events of visitors, the canary's part of those who might have had theirs.
    """

    w: float
    canary: float
    stable: float
    at_risk: float | None = None

    @property
    def total(self) -> float:
        """Of both versions."""
        return self.canary + self.stable

    @property
    def comparable(self) -> bool:
        """Is there something to learn from it: might either version have got these requests?"""
        return self.total > 0 and LEAST_CHANCE <= self.w <= 1 - LEAST_CHANCE


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """ "θ is `null`, or further from the alternatives than that", against bets of these weights, which sum to 1."""

    null: float
    alternatives: tuple[float, ...]
    weights: tuple[float, ...]

    def chance(self, bad: Bad) -> float:
        """The probability with which such an event is the canary's if both versions are alike.

        Of visitors that is `w` for as long as none of them is gone, whoever else comes; and `at_risk` if nobody
        comes or leaves. Bets that are on the canary gain the less the greater it is, the others the smaller it is.
        """
        if bad.at_risk is None:
            return bad.w
        return max(bad.w, bad.at_risk) if self.alternatives[0] > self.null else min(bad.w, bad.at_risk)


def accuse(tolerance: float, factors: dict[float, float]) -> Hypothesis:
    """The test of "the canary fails at most `tolerance` times as often as stable". `factors`: weights by factor."""
    return Hypothesis(tolerance, tuple(tolerance * factor for factor in factors), tuple(factors.values()))


def acquit(margin: float, factors: dict[float, float]) -> Hypothesis:
    """The test of "the canary fails at least `margin` times as often as stable"."""
    return Hypothesis(margin, tuple(margin / factor for factor in factors), tuple(factors.values()))


def evenly(*factors: float) -> dict[float, float]:
    """The same weight for each factor."""
    return dict.fromkeys(factors, 1 / len(factors))


# How many times as bad as tolerated. Small factors weigh more: they take longest to be found.
FAILURE_FACTORS = {1.25: 0.1, 1.5: 0.15, 2: 0.25, 3: 0.2, 5: 0.15, 10: 0.05, 30: 0.05, 100: 0.05}
SLOW_FACTORS = evenly(1.1, 1.25, 1.5, 2, 3, 5, 10)
MARGIN_FACTORS = evenly(1.25, 1.5, 2, 3, 5)


def gains(hypothesis: Hypothesis, events: Iterable[Bad]) -> tuple[float, ...]:
    """ln of what each bet is multiplied by, one for each alternative: the likelihood ratio of the events.

    y·ln(θ/θ0) − ln(θ·w + 1 − w) + ln(θ0·w + 1 − w) for each event, y = 1 if it is the canary's. Sums of gains are
    the gains of the events together. What is not comparable is left out.
    """
    comparable = [each for each in events if each.comparable]
    canary = sum(each.canary for each in comparable)
    chances = [(each.total, hypothesis.chance(each)) for each in comparable]
    level = _level(hypothesis.null, chances)
    return tuple(
        canary * log(theta / hypothesis.null) - _level(theta, chances) + level
        for theta in hypothesis.alternatives
    )


def _level(theta: float, chances: list[tuple[float, float]]) -> float:
    return sum(total * log1p((theta - 1) * w) for total, w in chances)
