"""Random numbers for bench.verdict, without a library: exact, and fast enough for a few million of them."""

from __future__ import annotations

import random
from math import exp, lgamma, log, log1p


def binomial(rng: random.Random, trials: int, chance: float) -> int:
    """How many of so many trials succeed."""
    if not trials or chance <= 0:
        return 0
    if chance >= 1:
        return trials
    return _few(rng, trials, chance) if trials * chance < 12 else _many(rng, trials, chance)


def _few(rng: random.Random, trials: int, chance: float) -> int:
    """By leaps from one success to the next, which are geometric."""
    scale, at, found = log1p(-chance), -1, -1
    while at < trials:
        found += 1
        at += 1 + int(log(1 - rng.random()) / scale)
    return found


def _many(rng: random.Random, trials: int, chance: float) -> int:
    """By inversion, from the likeliest number outwards to both sides."""
    middle = min(int((trials + 1) * chance), trials)
    odds = chance / (1 - chance)
    level = exp(
        lgamma(trials + 1)
        - lgamma(middle + 1)
        - lgamma(trials - middle + 1)
        + middle * log(chance)
        + (trials - middle) * log1p(-chance)
    )
    left = rng.random() - level
    up = down = middle
    above = below = level
    while left > 0:
        if up == trials and down == 0:
            return middle
        above = above * odds * (trials - up) / (up + 1) if up < trials else 0.0
        up += up < trials
        left -= above
        if left <= 0:
            return up
        below = below * down / (odds * (trials - down + 1)) if down > 0 else 0.0
        down -= down > 0
        left -= below
    return down


def multinomial(rng: random.Random, trials: int, chances: list[float]) -> list[int]:
    """How many of so many trials come to each outcome; `chances` sum to 1."""
    counts, rest = [], 1.0
    for chance in chances:
        count = binomial(rng, trials, min(chance / rest, 1.0)) if rest > 0 else 0
        counts.append(count)
        trials, rest = trials - count, rest - chance
    counts[-1] += trials
    return counts
