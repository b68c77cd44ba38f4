"""Share asked against share seen: whether the canary gets the requests that it should get.

Where it does not, something stands between: a cache in front, a server taken out, one visitor who makes most of
the requests. Then a comparison may mean something else than it seems to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        """Requests that came under this ratio, by where they went."""
        counts = self._counts.setdefault(ratio, [0, 0])
        counts[0] += canary
        counts[1] += stable

    def share(self) -> Share:
        """As of now."""
        total = sum(map(sum, self._counts.values()))
        if not total:
            return Share(None, None, None)
        asked, seen = _shares(self._counts)
        return Share(asked, seen, self._alarm(asked, seen))

    def _alarm(self, asked: float, seen: float) -> str | None:
        off = self._crowded(asked, seen) if self.sticky else self._refuted()
        return f"the canary gets {seen:.3%} of the requests, not {asked:.3%}" if off else None

    def _refuted(self) -> bool:
        """Chance decides only between 0 and 1; at these a few of the other version were under way before."""
        drawn = {ratio: counts for ratio, counts in self._counts.items() if 0 < ratio < 1}
        fixed = [
            (sum(counts), counts[ratio < 1]) for ratio, counts in self._counts.items() if ratio in (0, 1)
        ]
        wrong = sum(total - right for total, right in fixed)
        return _unlikely(drawn) or wrong > _SLIGHT * sum(total for total, _ in fixed)

    def _crowded(self, asked: float, seen: float) -> bool:
        if self.visitors < _CROWD or asked in (0, 1) or seen in (0, 1):
            return False
        odds = seen / (1 - seen) / (asked / (1 - asked))
        return not 1 / _CROWDED_FACTOR <= odds <= _CROWDED_FACTOR


def _shares(counts: Mapping[float, Sequence[int]]) -> tuple[float, float]:
    """Asked and seen, of all these requests together."""
    total = sum(map(sum, counts.values()))
    asked = sum(ratio * sum(both) for ratio, both in counts.items()) / total
    return asked, sum(canary for canary, _ in counts.values()) / total


def _unlikely(drawn: Mapping[float, Sequence[int]]) -> bool:
    """Of requests drawn one after the other the product of e-values is one."""
    if not any(map(sum, drawn.values())):
        return False
    asked, seen = _shares(drawn)
    if abs(seen - asked) <= _SLIGHT * min(asked, 1 - asked):
        return False
    against = sum(log_wealth_against(ratio, both[0], sum(both)) for ratio, both in drawn.items())
    return against >= -log(ALPHA)
