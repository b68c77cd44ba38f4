"""How long until a pass, if the canary is as good as stable and traffic stays as it is. An estimate, no promise."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log

from app.rollout.comparison import Comparison
from app.rollout.confidence import log_wealth_against
from app.rollout.evidence import Bad, gains

# What takes longer than this is not to be expected.
_LONGEST = 30 * 86400.0
# What was seen for a shorter time than this is no basis for an estimate.
_SHORTEST = 10.0


class Pace:
    """How fast events come, since a step began."""

    __slots__ = ("_chances", "_events", "seconds", "tried")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tried = 0.0
        self._events: dict[str, float] = {}
        self._chances: dict[str, float] = {}

    def take(self, kind: str, events: Sequence[Bad]) -> None:
        """Bad events of one kind."""
        comparable = [each for each in events if each.comparable]
        self._events[kind] = self._events.get(kind, 0.0) + sum(each.total for each in comparable)
        self._chances[kind] = self._chances.get(kind, 0.0) + sum(each.total * each.w for each in comparable)

    def until_proven(self, kind: str, comparison: Comparison) -> float | None:
        """Seconds until evidence in the canary's favour is enough; None: not to be expected.

        That is when one of the bets would do by itself, each growing as it does in the mean.
        """
        events = self._events.get(kind, 0.0)
        favour = comparison.rule.favour
        if favour is None or comparison.passes:
            return 0.0
        if not events or self.seconds < _SHORTEST:
            return None
        w, needed = self._chances[kind] / events, -log(comparison.rule.beta)
        growth = gains(favour, [Bad(w, w, 1 - w)])
        bets = zip(favour.weights, comparison.favour.bets, growth, strict=True)
        more = [(needed - log(weight) - bet) / gain for weight, bet, gain in bets if gain > 0]
        seconds = min(more, default=inf) * self.seconds / events
        return seconds if seconds <= _LONGEST else None

    def until_acceptable(self, acceptable: float, hits: float, tried: float, alpha: float) -> float | None:
        """Seconds until it is sure that the canary fails less often than what is acceptable anyway."""
        if self.seconds < _SHORTEST or not self.tried or hits >= acceptable * tried:
            return None
        more = 0.0
        while log_wealth_against(acceptable, hits * (1 + more / tried), tried + more) < -log(alpha):
            more = more * 1.1 + 1
            if more > _LONGEST * self.tried / self.seconds:
                return None
        return more * self.seconds / self.tried


def soonest(waits: Sequence[float | None]) -> float | None:
    """The shortest of them."""
    return min((wait for wait in waits if wait is not None), default=None)


def last(waits: Sequence[float | None]) -> float | None:
    """The longest of them; None when one of them has no end."""
    known = [wait for wait in waits if wait is not None]
    return max(known, default=0.0) if len(known) == len(waits) else None
