"""What the bets have come to: two e-processes, both good at every look, however many looks there are.

By Ville's inequality (1939) a nonnegative supermartingale that starts at 1 reaches 1/α with probability at most
α. Both kinds of wealth are one as long as their null hypothesis holds. All wealth is kept as logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, log1p

_AT_ONCE = 0.5
_SLOWNESS = 300.0


@dataclass(frozen=True, slots=True)
class RestartedWealth:
    """Half of the stake is bet at the first event; the rest follows bit by bit, for as long as it takes.

    Bets from the beginning alone would sink while the canary is well, and one that turns bad after an hour would
    have to win all of it back first. A mixture over starting points is an e-process like each of them, and the
    first bet costs a factor of 2 at the most.

    `bets`: ln of the wealth on each alternative, before weights; `events`: how many there have been.
    """

    bets: tuple[float, ...]
    events: float = 0.0

    @classmethod
    def new(cls, alternatives: int) -> RestartedWealth:
        """Before any event."""
        return cls((log(_AT_ONCE),) * alternatives)

    def after(self, gains: Sequence[float], events: float) -> RestartedWealth:
        """After so many more events. What is bet on them depends on their number, never on whose they are."""
        if not events:
            return self
        total = self.events + events
        stake = log(_unstaked(self.events) - _unstaked(total))
        bets = (log_sum((bet, stake)) + gain for bet, gain in zip(self.bets, gains, strict=True))
        return RestartedWealth(tuple(bets), total)

    def log_total(self, weights: Sequence[float]) -> float:
        """ln of all wealth, with what has not been bet yet."""
        return log_sum([*_weighted(self.bets, weights), log(_unstaked(self.events))])


@dataclass(frozen=True, slots=True)
class CappedWealth:
    """Never more than `cap` (a logarithm) on an alternative, so that a good past is soon forgotten.

    A supermartingale cut off at the top is one still. `bets` as in RestartedWealth.
    """

    bets: tuple[float, ...]
    cap: float

    @classmethod
    def new(cls, alternatives: int, cap: float) -> CappedWealth:
        """Before any event."""
        return cls((0.0,) * alternatives, cap)

    def after(self, gains: Sequence[float]) -> CappedWealth:
        """After some more events."""
        bets = (min(bet + gain, self.cap) for bet, gain in zip(self.bets, gains, strict=True))
        return CappedWealth(tuple(bets), self.cap)

    def log_total(self, weights: Sequence[float]) -> float:
        """ln of all wealth."""
        return log_sum(_weighted(self.bets, weights))


def log_sum(logs: Sequence[float]) -> float:
    """ln of the sum of what these are the logarithms of."""
    most = max(logs)
    return most + log(sum(exp(each - most) for each in logs))


def log_mean(logs: Sequence[float]) -> float:
    """ln of the mean of what these are the logarithms of."""
    return log_sum(logs) - log(len(logs))


def _unstaked(events: float) -> float:
    """The part of the stake that is left after so many events. It shrinks slower than any power of them."""
    return (1 - _AT_ONCE) / (1 + log1p(events / _SLOWNESS))


def _weighted(bets: Sequence[float], weights: Sequence[float]) -> list[float]:
    return [bet + log(weight) for bet, weight in zip(bets, weights, strict=True)]
