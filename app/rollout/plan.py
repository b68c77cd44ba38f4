"""The plan of a rollout as immutable values. What may stand in one is said in `plan_schema`, nowhere else.

Durations are seconds, shares and rates numbers from 0 to 1. None means "off" or "not given".
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """A share for the canary. `hold`: for how long at least; `approve`: whether a person must end it.

    None: as the plan says for all steps.
    """

    ratio: float
    hold: float | None = None
    approve: bool | None = None


@dataclass(frozen=True, slots=True)
class Ramp:
    """Steps by a rule: from `first` to `to`, each the same factor (`exponential`) or amount (`linear`) further."""

    first: float
    to: float = 1.0
    steps: int = 6
    hold: float | None = None
    kind: str = "exponential"

    def as_steps(self) -> tuple[Step, ...]:
        """Rounded to four digits, but for the ends."""
        inner = (self._ratio(number / (self.steps - 1)) for number in range(1, self.steps - 1))
        ratios = (self.first, *(float(f"{ratio:.4g}") for ratio in inner), self.to)
        return tuple(Step(ratio, self.hold) for ratio in ratios)

    def _ratio(self, way: float) -> float:
        if self.kind == "linear":
            return self.first + (self.to - self.first) * way
        return float(self.first * (self.to / self.first) ** way)


@dataclass(frozen=True, slots=True)
class FailureGate:
    """How much the canary may fail, as a multiple of stable's rate: it is rolled back beyond `tolerance`, and
    passes below `margin`. `acceptable`: a rate below which it passes whatever stable does. `limit`: the rate
    beyond which it is rolled back where there is no stable traffic to compare with.
    """

    tolerance: float = 1.0
    margin: float = 2.0
    acceptable: float = 0.001
    limit: float | None = 0.05


@dataclass(frozen=True, slots=True)
class SlowGate:
    """How often the canary may be slow, as a multiple of stable. `over`: a bar of its own, in seconds."""

    tolerance: float = 1.0
    margin: float | None = None
    over: float | None = None


@dataclass(frozen=True, slots=True)
class Gates:
    """What is compared. None: it is not."""

    failures: FailureGate | None = field(default_factory=FailureGate)
    slow: SlowGate | None = field(default_factory=SlowGate)


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan, whole and valid. `ramp` has become steps."""

    steps: tuple[Step, ...] = (Step(0.01), Step(0.1), Step(0.5), Step(1.0))
    hold: float = 300.0
    approve: bool = False
    gates: Gates = field(default_factory=Gates)
    alpha: float = 0.01
    beta: float = 0.05
    warmup: float = 10.0
    min_requests: int = 500
    no_data: str = "hold"
    on_inconclusive: str = "hold"
    webhooks: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()

    def hold_of(self, step: int) -> float:
        """For how many seconds at least this step lasts."""
        hold = self.steps[step].hold
        return self.hold if hold is None else hold

    def approve_of(self, step: int) -> bool:
        """Whether a person must end this step."""
        approve = self.steps[step].approve
        return self.approve if approve is None else approve
