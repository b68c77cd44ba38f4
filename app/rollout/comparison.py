"""One comparison of the versions: by their failures, or by how often they miss one bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any

from app.rollout.confidence import Interval, Likelihood
from app.rollout.evidence import Bad, Hypothesis, gains
from app.rollout.wealth import CappedWealth, RestartedWealth

# How far above what is needed evidence in the canary's favour may grow: what a canary that turns bad must lose.
_HOARD = 100.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is bet: against the canary, and in its favour; None: it need not prove itself."""

    against: Hypothesis
    favour: Hypothesis | None
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What one comparison has come to. `theta`: how many times as often as stable the canary does badly.

    `against`, `favour`: ln of the evidence; `favour` is None where the canary need not prove itself.
    """

    name: str
    events: int
    canary: int
    theta: Interval
    against: float
    favour: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evidence so far. `canary`: how many bad events it had, compared or not."""

    rule: Rule
    against: RestartedWealth
    favour: CappedWealth
    likelihood: Likelihood = field(default_factory=Likelihood)
    canary: float = 0.0

    @classmethod
    def new(cls, rule: Rule) -> Comparison:
        """Before any event."""
        cap = log(_HOARD / rule.beta)
        favoured = len(rule.favour.alternatives) if rule.favour else 0
        return cls(rule, RestartedWealth.new(len(rule.against.alternatives)), CappedWealth.new(favoured, cap))

    def after(self, events: Sequence[Bad], alone: Sequence[Bad] = ()) -> Comparison:
        """With these events. `alone` are held against the canary, but are no comparison with stable."""
        counted = [each for each in (*events, *alone) if each.comparable]
        if not counted:
            return self
        against = self.against.after(gains(self.rule.against, counted), sum(each.total for each in counted))
        favour = self.favour.after(gains(self.rule.favour, events)) if self.rule.favour else self.favour
        canary = self.canary + sum(each.canary for each in counted)
        return replace(
            self, against=against, favour=favour, likelihood=self.likelihood.after(events), canary=canary
        )

    def figures(self, name: str) -> Figures:
        """To be shown."""
        return Figures(
            name,
            round(self.likelihood.events),
            round(self.canary),
            self.likelihood.interval(self.rule.alpha),
            self.log_against,
            self.log_favour,
        )

    @property
    def log_against(self) -> float:
        """ln of the evidence against the canary."""
        return self.against.log_total(self.rule.against.weights)

    @property
    def log_favour(self) -> float | None:
        """ln of the evidence in its favour; None where it need not prove itself."""
        return self.favour.log_total(self.rule.favour.weights) if self.rule.favour else None

    @property
    def passes(self) -> bool:
        """Has the canary proved itself, as far as it must?"""
        favour = self.log_favour
        return favour is None or favour >= -log(self.rule.beta)

    def dump(self) -> dict[str, Any]:
        """As JSON, without the rule."""
        return {
            "against": self.against.bets,
            "events": self.against.events,
            "favour": self.favour.bets,
            "canary": self.canary,
            "likelihood": self.likelihood.vector(),
        }

    def restored(self, data: dict[str, Any]) -> Comparison:
        """With the evidence that was dumped. Raises LookupError, TypeError, ValueError."""
        return replace(
            self,
            against=RestartedWealth(_floats(data["against"], len(self.against.bets)), float(data["events"])),
            favour=CappedWealth(_floats(data["favour"], len(self.favour.bets)), self.favour.cap),
            likelihood=Likelihood.of_vector(data["likelihood"]),
            canary=float(data["canary"]),
        )


def _floats(values: Any, count: int) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) != count:
        raise ValueError(f"{len(found)} numbers, not {count}")
    return found
