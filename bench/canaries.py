"""The traffic of bench.verdict: what two versions make of it, minute by minute, and ours as a judge of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from app.rollout.judge import Judge
from app.rollout.observed import Observed, Outcomes, Stratum
from app.rollout.plan import Plan
from bench.draws import binomial

RATE = 50  # requests a second
MINUTES = 60
FAILURES = 0.005


class Minute(NamedTuple):
    """What one minute brought: requests and failures of each version, under one ratio."""

    ratio: float
    canary: int
    canary_failed: int
    stable: int
    stable_failed: int


Course = Callable[[int], float]


def always(value: float) -> Course:
    """The same in each minute."""
    return lambda minute: value


def later(value: float, begin: int) -> Course:
    """One until this minute, and this value from then on."""
    return lambda minute: value if minute >= begin else 1.0


def outage(minute: int) -> float:
    """Five minutes in which a third of all requests fails, whichever version they go to."""
    return 0.3 if 20 <= minute < 25 else FAILURES


def drift(minute: int) -> float:
    """From 0.2 to 2 % in an hour."""
    return 0.002 + 0.018 * minute / MINUTES


def ramp(minute: int) -> float:
    """Four steps of a quarter of an hour each."""
    return (0.01, 0.05, 0.2, 0.5)[minute // 15]


_SAME, _FEW, _TENTH = always(1.0), always(FAILURES), always(0.1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`failures`: how often stable's requests fail; `times`: how many times as often the canary's do.

    `requests`: in each look; there are `looks` of them, of a minute each unless the courses say otherwise.
    """

    name: str
    times: Course = _SAME
    failures: Course = _FEW
    ratio: Course = _TENTH
    looks: int = MINUTES
    requests: int = RATE * 60

    def run(self, rng: random.Random) -> list[Minute]:
        """One run. Each request goes to the canary by chance."""
        return [self._minute(rng, minute) for minute in range(self.looks)]

    def _minute(self, rng: random.Random, minute: int) -> Minute:
        ratio, failures = self.ratio(minute), self.failures(minute)
        canary = binomial(rng, self.requests, ratio)
        stable = self.requests - canary
        failed = binomial(rng, canary, min(failures * self.times(minute), 1.0))
        return Minute(ratio, canary, failed, stable, binomial(rng, stable, failures))


def reports(minutes: Iterable[Minute]) -> Iterator[Observed]:
    """What an instance reports at the beginning, and after each of these minutes."""
    totals: dict[float, list[int]] = {}
    yield Observed()
    for minute in minutes:
        before = totals.setdefault(minute.ratio, [0, 0, 0, 0])
        totals[minute.ratio] = [had + more for had, more in zip(before, minute[1:], strict=True)]
        yield Observed(tuple(_stratum(ratio, counts) for ratio, counts in totals.items()))


def _stratum(ratio: float, counts: list[int]) -> Stratum:
    canary, canary_failed, stable, stable_failed = counts
    return Stratum(ratio, _outcomes(stable, stable_failed), _outcomes(canary, canary_failed))


def _outcomes(requests: int, failed: int) -> Outcomes:
    return Outcomes(requests, 0, {"5xx": failed})


def outcomes(plan: Plan, seen: Iterable[Observed], seconds: float = 60) -> Iterator[str]:
    """Our verdict after each report."""
    judge = Judge(plan)
    for number, observed in enumerate(seen):
        judge.look({"instance": observed}, seconds)
        if number:
            yield judge.outcome()[0]


def first(outcome: str, verdicts: Iterable[str]) -> int | None:
    """The number of the first look with this outcome, counted from 1."""
    return next((number for number, verdict in enumerate(verdicts, 1) if verdict == outcome), None)
