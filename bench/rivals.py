"""How other judges decide, as far as their documentation tells: rules only, none of their code.

Each takes a run minute by minute and gives the minute in which it would roll the canary back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt
from statistics import NormalDist

from bench.canaries import Minute

Rule = Callable[[Sequence[Minute]], int | None]
_NORMAL = NormalDist()


def z_test(minutes: Sequence[Minute], level: float = 0.05) -> int | None:
    """Two proportions, all counts so far pooled, one-sided, looked at each minute as if it were the only time."""
    critical = _NORMAL.inv_cdf(1 - level)
    canary = canary_failed = stable = stable_failed = 0
    for number, minute in enumerate(minutes, 1):
        canary, canary_failed = canary + minute.canary, canary_failed + minute.canary_failed
        stable, stable_failed = stable + minute.stable, stable_failed + minute.stable_failed
        if _z(canary, canary_failed, stable, stable_failed) > critical:
            return number
    return None


def _z(canary: int, canary_failed: int, stable: int, stable_failed: int) -> float:
    pooled = (canary_failed + stable_failed) / (canary + stable)
    spread = sqrt(pooled * (1 - pooled) * (1 / max(canary, 1) + 1 / max(stable, 1)))
    return (canary_failed / max(canary, 1) - stable_failed / max(stable, 1)) / spread if spread else 0.0


def threshold(minutes: Sequence[Minute], success: float = 0.99, misses: int = 5) -> int | None:
    """The canary's success rate of each minute against a fixed bar; back at the fifth miss of all.

    As in the examples of Flagger's documentation: `request-success-rate` with `min: 99`, `threshold: 5`.
    """
    missed = 0
    for number, minute in enumerate(minutes, 1):
        missed += minute.canary_failed > (1 - success) * minute.canary
        if missed == misses:
            return number
    return None


def mann_whitney(minutes: Sequence[Minute], window: int = 10, confidence: float = 0.98) -> int | None:
    """Failure rates of each version by minute, ten of each at a time, each ten minutes.

    As in the description of Spinnaker's default judge: back when the confidence interval of how far the canary's
    rates are shifted, from the Mann-Whitney test, lies above a quarter of the Hodges-Lehmann estimate of that.
    """
    for end in range(window, len(minutes) + 1, window):
        part = minutes[end - window : end]
        canary = [minute.canary_failed / max(minute.canary, 1) for minute in part]
        stable = [minute.stable_failed / max(minute.stable, 1) for minute in part]
        low, estimate = _shift(canary, stable, confidence)
        if low > 0.25 * abs(estimate):
            return end
    return None


def _shift(one: Sequence[float], other: Sequence[float], confidence: float) -> tuple[float, float]:
    """The lower end of the confidence interval of the shift, and its estimate (Hodges and Lehmann 1963)."""
    differences = sorted(a - b for a in one for b in other)
    pairs = len(differences)
    spread = sqrt(pairs * (len(one) + len(other) + 1) / 12)
    rank = max(ceil(pairs / 2 - _NORMAL.inv_cdf((1 + confidence) / 2) * spread), 1)
    middle = pairs // 2
    return differences[rank - 1], (differences[middle - 1] + differences[middle]) / 2


RULES: dict[str, Rule] = {
    "z-test each minute, 5 %": z_test,
    "success ≥ 99 %, 5 misses": threshold,
    "Mann-Whitney each 10 min": mann_whitney,
}
