"""Visitors who stick, for bench.verdict: the same people again and again, some of whom make most of the failures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from app.rollout.buckets import BUCKETS, SLICES, canaries
from app.rollout.observed import FAILURES, Observed, Stratum
from bench.canaries import MINUTES, RATE, Minute
from bench.draws import binomial
from tests.support.recorder import Crowd

# So many reports bring all slices of who was seen.
SETTLING = SLICES


@dataclass(frozen=True, slots=True)
class Town:
    """So many visitors, each with as many requests as the others. `unlucky` ones fail at a rate of their own.

    `times`: how many times as often all of them fail on the canary.
    """

    name: str
    times: float = 1.0
    visitors: int = 2000
    unlucky: int = 10
    unlucky_failures: float = 0.8
    failures: float = 0.001
    ratio: float = 0.1
    minutes: int = MINUTES

    def run(self, rng: random.Random) -> list[list[int]]:
        """For each minute, the bucket of each failure. The last list is of everybody."""
        people = rng.sample(range(BUCKETS), self.visitors)
        return [*(self._failures(rng, people) for _ in range(self.minutes)), people]

    def _failures(self, rng: random.Random, people: list[int]) -> list[int]:
        end, requests = canaries(self.ratio), RATE * 60 / self.visitors
        failed: list[int] = []
        for unlucky, group in ((True, people[: self.unlucky]), (False, people[self.unlucky :])):
            rate = self.unlucky_failures if unlucky else self.failures
            for times, part in (
                (self.times, [each for each in group if each < end]),
                (1.0, [each for each in group if each >= end]),
            ):
                count = binomial(rng, round(len(part) * requests), min(rate * times, 1.0))
                failed += rng.choices(part, k=count) if part else []
        rng.shuffle(failed)
        return failed


def by_visitor(town: Town, run: list[list[int]], everybody: bool = False) -> Iterator[Observed]:
    """What an instance reports, the first SETTLING times before anything fails.

    `everybody`: as if each bucket there is had a visitor.
    """
    crowd, end = Crowd(), canaries(town.ratio)
    *minutes, people = run
    for bucket in range(BUCKETS) if everybody else people:
        crowd.see(bucket, bucket < end)
    stratum = Stratum(town.ratio)
    for _ in range(SETTLING):
        yield Observed((stratum,), crowd.report())
    for failed in minutes:
        for bucket in failed:
            crowd.hit(FAILURES, town.ratio, bucket)
        yield Observed((stratum,), crowd.report())


def by_request(town: Town, run: list[list[int]]) -> list[Minute]:
    """The same traffic for a judge who takes each request for itself."""
    end = canaries(town.ratio)
    canary = round(RATE * 60 * sum(bucket < end for bucket in run[-1]) / town.visitors)
    counts = [(sum(bucket < end for bucket in failed), len(failed)) for failed in run[:-1]]
    return [
        Minute(town.ratio, canary, failed, RATE * 60 - canary, total - failed) for failed, total in counts
    ]
