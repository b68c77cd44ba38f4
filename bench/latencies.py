"""Times to the response head, for bench.verdict: log-normal, with failures beside them that are the same in both."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from statistics import NormalDist

from app.proxy.stats import BOUNDS
from app.rollout.bars import Bars, bars
from app.rollout.observed import Observed, Outcomes, Stratum
from bench.canaries import FAILURES, MINUTES, RATE
from bench.draws import binomial, multinomial

_MEDIAN, _SPREAD = 0.05, 0.5
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Pace:
    """`times`: how many times as long as stable the canary takes, at every quantile."""

    name: str
    times: float
    ratio: float = 0.1
    minutes: int = MINUTES

    def reports(self, rng: random.Random) -> Iterator[Observed]:
        """What an instance reports at the beginning, and after each minute."""
        chances = [
            _later(low, 1) - _later(high, 1) for low, high in zip((0, *BOUNDS), (*BOUNDS, 1e9), strict=True)
        ]
        stable, canary = Outcomes(), Outcomes()
        now = bars(multinomial(rng, RATE * 60, chances), BOUNDS)
        yield Observed((Stratum(self.ratio, stable, canary),))
        for _ in range(self.minutes):
            requests = binomial(rng, RATE * 60, self.ratio)
            stable = _more(rng, stable, RATE * 60 - requests, now, 1)
            canary = _more(rng, canary, requests, now, self.times)
            now = bars(multinomial(rng, RATE * 60 - requests, chances), BOUNDS, now)
            yield Observed((Stratum(self.ratio, stable, canary),))


def _later(seconds: float, times: float) -> float:
    """The chance that a success takes longer than that."""
    return 1 - _NORMAL.cdf(log(seconds / (_MEDIAN * times)) / _SPREAD) if seconds else 1.0


def _more(rng: random.Random, before: Outcomes, requests: int, now: Bars, times: float) -> Outcomes:
    failed = binomial(rng, requests, FAILURES)
    late, slow, sooner = requests - failed, [], 1.0
    for bar in now:
        chance = _later(bar, times)
        late = binomial(rng, late, chance / sooner)
        sooner = chance
        slow.append(late)
    counts = [had + more for had, more in zip(before.slow, (*slow, 0), strict=True)]
    return Outcomes(before.requests + requests, 0, {"5xx": before.failed + failed}, tuple(counts))
