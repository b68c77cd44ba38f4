"""The case that each gate of a plan makes: by failures, and by slow answers. Fed look by look; knows no instances."""

from __future__ import annotations

from math import log
from typing import Any, Protocol

from app.rollout.comparison import Comparison, Figures, Rule
from app.rollout.confidence import log_wealth_against
from app.rollout.evidence import FAILURE_FACTORS, MARGIN_FACTORS, SLOW_FACTORS, Bad, accuse, acquit
from app.rollout.forecast import Pace, last, soonest
from app.rollout.look import Look
from app.rollout.observed import BARS, FAILURES
from app.rollout.plan import FailureGate, Plan, SlowGate
from app.rollout.wealth import log_mean

# Nobody is rolled back for less.
_LEAST_BAD = 3


class Case(Protocol):
    """`log_against`: ln of an e-value; `proven`: had the canary bad events enough; `passes`: may it go on."""

    @property
    def log_against(self) -> float: ...

    @property
    def proven(self) -> bool: ...

    @property
    def passes(self) -> bool: ...

    def take(self, look: Look) -> None: ...

    def wait(self, pace: Pace) -> float | None:
        """Seconds until it may go on, if it is as good as stable; None: not to be expected."""

    def figures(self) -> tuple[Figures, ...]: ...

    def dump(self) -> dict[str, Any]: ...

    def restore(self, data: dict[str, Any]) -> None:
        """Go on from what was dumped. Raises LookupError, TypeError, ValueError."""


class FailureCase:
    """By failures: of the versions beside each other, and of the canary for itself."""

    def __init__(self, gate: FailureGate, alpha: float, beta: float) -> None:
        favour = acquit(gate.margin, MARGIN_FACTORS)
        self._gate, self._alpha = gate, alpha
        self.comparison = Comparison.new(Rule(accuse(gate.tolerance, FAILURE_FACTORS), favour, alpha, beta))
        self.hits = self.tried = 0.0

    @property
    def log_against(self) -> float:
        return self.comparison.log_against

    @property
    def proven(self) -> bool:
        return self.comparison.canary >= _LEAST_BAD

    @property
    def passes(self) -> bool:
        return self.comparison.passes or self.log_against_acceptable >= -log(self._alpha)

    @property
    def log_against_acceptable(self) -> float:
        """ln of the evidence that the canary fails less often than what is acceptable anyway."""
        acceptable = self._gate.acceptable
        if self.hits >= acceptable * self.tried:
            return 0.0
        return log_wealth_against(acceptable, self.hits, self.tried)

    def take(self, look: Look) -> None:
        self.comparison = self.comparison.after(look.failures, self._alone(*look.alone))
        self.hits += look.hits
        self.tried += look.tried

    def wait(self, pace: Pace) -> float | None:
        if self.passes:
            return 0.0
        acceptable = pace.until_acceptable(self._gate.acceptable, self.hits, self.tried, self._alpha)
        return soonest((pace.until_proven(FAILURES, self.comparison), acceptable))

    def _alone(self, failed: float, requests: float) -> list[Bad]:
        """The same bets, with the limit in the place of w: that a request fails, and not that it was the canary's."""
        limit = self._gate.limit
        return [] if limit is None or not requests else [Bad(limit, failed, requests - failed)]

    def figures(self) -> tuple[Figures, ...]:
        return (self.comparison.figures(FAILURES),)

    def dump(self) -> dict[str, Any]:
        return {FAILURES: self.comparison.dump(), "hits": self.hits, "tried": self.tried}

    def restore(self, data: dict[str, Any]) -> None:
        self.comparison = self.comparison.restored(data[FAILURES])
        self.hits, self.tried = float(data["hits"]), float(data["tried"])


class SlowCase:
    """By slow answers, at each bar. The mean of e-values is one, whatever they have to do with each other
    (Vovk and Wang 2021); to pass, the canary must prove itself at every bar."""

    def __init__(self, gate: SlowGate, alpha: float, beta: float) -> None:
        favour = None if gate.margin is None else acquit(gate.margin, MARGIN_FACTORS)
        rule = Rule(accuse(gate.tolerance, SLOW_FACTORS), favour, alpha, beta)
        bars = BARS if gate.over is not None else BARS[:-1]
        self.comparisons = {bar: Comparison.new(rule) for bar in bars}

    @property
    def log_against(self) -> float:
        return log_mean([each.log_against for each in self.comparisons.values()])

    @property
    def proven(self) -> bool:
        worst = max(self.comparisons.values(), key=lambda each: each.log_against)
        return worst.canary >= _LEAST_BAD

    @property
    def passes(self) -> bool:
        return all(each.passes for each in self.comparisons.values())

    def take(self, look: Look) -> None:
        for bar, comparison in self.comparisons.items():
            self.comparisons[bar] = comparison.after(look.slow.get(bar, ()))

    def wait(self, pace: Pace) -> float | None:
        return last([pace.until_proven(bar, comparison) for bar, comparison in self.comparisons.items()])

    def figures(self) -> tuple[Figures, ...]:
        return tuple(comparison.figures(bar) for bar, comparison in self.comparisons.items())

    def dump(self) -> dict[str, Any]:
        return {bar: comparison.dump() for bar, comparison in self.comparisons.items()}

    def restore(self, data: dict[str, Any]) -> None:
        self.comparisons = {bar: each.restored(data[bar]) for bar, each in self.comparisons.items()}


def cases(plan: Plan) -> dict[str, Case]:
    """One for each gate of the plan, by name."""
    found: dict[str, Case] = {}
    if plan.gates.failures:
        found["failures"] = FailureCase(plan.gates.failures, plan.alpha, plan.beta)
    if plan.gates.slow:
        found["slow"] = SlowCase(plan.gates.slow, plan.alpha, plan.beta)
    return found
