"""The verdict on a canary as values: what it is, why, and all figures behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.rollout.comparison import Figures
from app.rollout.confidence import Interval
from app.rollout.share import Share

ROLLBACK, PASS, INCONCLUSIVE = "rollback", "pass", "inconclusive"


@dataclass(frozen=True, slots=True)
class GateFigures:
    """One gate. `against`: ln of its evidence; `needed`: what that would have to be by itself for a roll-back."""

    name: str
    against: float
    needed: float
    passes: bool
    comparisons: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """How often one version's requests failed, with the confidence sequence of it."""

    requests: int
    failures: int
    rate: Interval


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` is ROLLBACK, PASS or INCONCLUSIVE. `against` and `needed`: ln of the evidence of all gates together.

    `seconds_left`: until a pass, if the canary is as good as stable; None: not to be expected at this traffic.
    """

    outcome: str
    reason: str
    against: float
    needed: float
    gates: tuple[GateFigures, ...]
    stable: Rate
    canary: Rate
    share: Share
    seconds_left: float | None

    def held(self, why: str) -> Verdict:
        """While nothing new is known: what told against the canary still does, and the rest is no pass."""
        return self if self.outcome == ROLLBACK else replace(self, outcome=INCONCLUSIVE, reason=why)
