"""Share asked against share seen: whether the canary gets the requests that it should get.

Where it does not, something stands between: a cache in front, a server taken out, one visitor who makes most of
the requests. Then a comparison may mean something else than it seems to.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from app.rollout.confidence import log_wealth_against

# How unlikely an alarm is while the shares are as asked, at all looks of a step together.
ALPHA = 0.001
# And how far off, of the smaller share, is not worth a stop, however sure it is.
_SLIGHT = 0.05
# Where visitors stick, requests are no independent draws; then only what is more than this counts, in odds, and
# only when the canary has visitors enough for the busy ones among them to even out.
_CROWDED_FACTOR = 2.0
_CROWD = 100


@dataclass(frozen=True, slots=True)
class Share:
    """Of all requests since the step began. None: there were none, or nothing was asked."""

    asked: float | None
    seen: float | None
    alarm: str | None


class ShareWatch:
    """Counts by ratio, from the beginning of a step."""

    __slots__ = ("_counts", "sticky", "visitors")

    def __init__(self) -> None:
        self._counts: dict[float, list[int]] = {}
        self.sticky = False
        self.visitors = 0

    def take(self, ratio: float, canary: int, stable: int) -> None:
        """Requests routed under this ratio; `stable`: with those that should have been the canary's."""
        counts = self._counts.setdefault(ratio, [0, 0])
        counts[0] += canary
        counts[1] += stable

    def share(self) -> Share:
        """As of now."""
        total = sum(map(sum, self._counts.values()))
        if not total:
            return Share(None, None, None)
        seen = sum(canary for canary, _ in self._counts.values()) / total
        asked = sum(ratio * (canary + stable) for ratio, (canary, stable) in self._counts.items()) / total
        return Share(asked, seen, self._alarm(asked, seen))

    def _alarm(self, asked: float, seen: float) -> str | None:
        off = self._crowded(asked, seen) if self.sticky else self._refuted(asked, seen)
        return f"the canary gets {seen:.3%} of the requests, not {asked:.3%}" if off else None

    def _refuted(self, asked: float, seen: float) -> bool:
        """Of requests drawn one after the other the product of e-values is one."""
        if abs(seen - asked) <= _SLIGHT * (min(asked, 1 - asked) or 1):
            return False
        drawn = [(ratio, *counts) for ratio, counts in self._counts.items() if 0 < ratio < 1]
        against = sum(log_wealth_against(ratio, canary, canary + stable) for ratio, canary, stable in drawn)
        return against >= -log(ALPHA) or len(drawn) < len(self._counts)

    def _crowded(self, asked: float, seen: float) -> bool:
        if self.visitors < _CROWD or asked in (0, 1) or seen in (0, 1):
            return False
        odds = seen / (1 - seen) / (asked / (1 - asked))
        return not 1 / _CROWDED_FACTOR <= odds <= _CROWDED_FACTOR
