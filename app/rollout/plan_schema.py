"""What may stand in the plan of a rollout: every field, its bounds and its sentence; the defaults are the plan's.

The tables in docs/rollout.md are walked out of these classes.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validates_schema

from app.config.fields import Address, Choice, Duration, Flag, Number, Whole
from app.config.origin import split_origin
from app.config.part import ListOf, Part, Section, read, read_bytes
from app.config.wording import shown
from app.errors import InvalidPlan
from app.rollout.evidence import LEAST_CHANCE
from app.rollout.plan import FailureGate, Gates, Plan, Ramp, SlowGate, Step

LARGEST = 64 * 1024
MOST_STEPS = 50
_MOST_HOOKS = 8
_HOUR, _DAY = 3600, 86400
_HOOK = re.compile(r"(https?://[^/?#\s]+)(?:[/?][!-\"$-~]*)?")


class Hook(Address):
    """Where webhooks go. It is never shown in errors, for many are secrets in themselves."""

    def describe(self) -> str:
        return "an http:// or https:// URL, at most 2048 bytes"

    def check(self, value: str) -> None:
        match = _HOOK.fullmatch(value)
        if match is None or len(value) > 2048:
            raise ValueError
        split_origin(match[1], ("http", "https"))

    def constraint(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": 2048, "pattern": f"^{_HOOK.pattern}$"}

    def show(self, value: Any) -> str:
        return "a text" if isinstance(value, str) else shown(value)


def _share(description: str) -> Number:
    return Number(description, LEAST_CHANCE, 1, required=True)


class StepPart(Part):
    makes = Step

    ratio = _share("The canary's share in this step; more than in the step before.")
    hold = Duration(
        "How long the step lasts at least. null: as long as the plan's `hold` says.", 0, 30 * _DAY, null=True
    )
    approve = Flag("Whether a person must end the step. null: as the plan's `approve` says.", null=True)


class RampPart(Part):
    makes = Ramp

    class Meta(Part.Meta):
        include: ClassVar[dict[str, fields.Field[Any]]] = {"from": _share("The first step's share.")}

    kind = Choice(
        "How the shares grow. exponential: by the same factor each time. linear: by the same amount.",
        "exponential",
        "linear",
    )
    to = Number("The last step's share.", LEAST_CHANCE, 1)
    steps = Whole("How many steps there are.", 2, MOST_STEPS)
    hold = Duration("How long each lasts at least. null: as the plan says.", 0, 30 * _DAY, null=True)

    @validates_schema
    def grows(self, data: dict[str, Any], **_: Any) -> None:
        ramp = self.build(data)
        if ramp.first >= ramp.to:
            raise ValidationError({"to": [f"must be above from ({ramp.first})"]})
        if any(before.ratio >= step.ratio for before, step in pairwise(ramp.as_steps())):
            raise ValidationError({"steps": ["are more than fit between from and to"]})

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Ramp:
        return Ramp(**{"first" if name == "from" else name: value for name, value in data.items()})


class FailureGatePart(Part):
    makes = FailureGate

    tolerance = Number("It is rolled back if it fails more than so many times as often as stable.", 0.5, 10)
    margin = Number(
        "It passes once it is clear that it fails less than so many times as often as stable.", 1.05, 100
    )
    acceptable = Number(
        "It passes as well once it is clear that less than this share of its requests fails, whatever stable does; "
        "of its visitors, where they stick.",
        1e-6,
        0.5,
    )
    limit = Number(
        "Where stable gets no requests to compare with, at a ratio of 1, it is rolled back if more than this share "
        "of its requests fails.",
        0.002,
        0.9,
        off=True,
    )

    @validates_schema
    def between(self, data: dict[str, Any], **_: Any) -> None:
        _above_tolerance(data, FailureGate())


class SlowGatePart(Part):
    makes = SlowGate

    tolerance = Number("It is rolled back if it is slow more than so many times as often as stable.", 0.5, 10)
    margin = Number(
        "It passes once it is clear that it is slow less than so many times as often as stable, at each bar. "
        "null: it need not prove that.",
        1.05,
        100,
        null=True,
    )
    over = Duration(
        "A time to the response head that counts as slow, beside stable's quantiles. null: none.",
        0.001,
        _HOUR,
        null=True,
    )

    @validates_schema
    def between(self, data: dict[str, Any], **_: Any) -> None:
        _above_tolerance(data, SlowGate())


def _above_tolerance(data: dict[str, Any], defaults: FailureGate | SlowGate) -> None:
    tolerance = data.get("tolerance", defaults.tolerance)
    margin = data.get("margin", defaults.margin)
    if margin is not None and margin <= tolerance:
        raise ValidationError({"margin": [f"must be above tolerance ({tolerance})"]})


class GatesPart(Part):
    makes = Gates

    failures = Section(FailureGatePart, "How much the canary may fail. null: it is not looked at.", null=True)
    slow = Section(
        SlowGatePart,
        "How slow the canary may be: how often a success takes longer to its head than half, 90 % and 99 % of "
        "stable's took in the minute before. null: it is not looked at.",
        null=True,
    )


class PlanPart(Part):
    makes = Plan

    steps = ListOf(
        StepPart,
        "The canary's way. Neither steps nor ramp given: 1 %, 10 %, 50 %, 100 %.",
        MOST_STEPS,
        least=1,
    )
    ramp = Section(RampPart, "Steps by a rule, in their place.")
    hold = Duration("How long each step lasts at least.", 0, 30 * _DAY)
    approve = Flag("Whether a person must end each step.")
    gates = Section(GatesPart, "What the canary is judged by.")
    alpha = Number(
        "With what probability a healthy canary may be rolled back, in the whole life of a rollout.",
        1e-4,
        0.2,
    )
    beta = Number("With what probability a canary as bad as a gate's `margin` may pass.", 1e-4, 0.5)
    warmup = Duration("From the start of the first step; what happens then does not count.", 0, _HOUR)
    min_requests = Whole("So many requests the canary must have had in a step before it ends.", 0, 10**9)
    no_data = Choice(
        "When a step has lasted its time without these requests. hold: wait for them. pause: until a person resumes.",
        "hold",
        "pause",
    )
    on_inconclusive = Choice(
        "When a step has lasted its time and the verdict is still open. hold: wait for it. pause: until a person "
        "resumes. proceed: go on as if it had passed. rollback: go home.",
        "hold",
        "pause",
        "proceed",
        "rollback",
    )
    webhooks = ListOf(
        Hook("Addresses."), "Told of every transition, by a signed POST.", _MOST_HOOKS, of="URLs"
    )
    confirm = ListOf(
        Hook("Addresses."),
        "Asked before each step ends: only if all answer 2xx, it does.",
        _MOST_HOOKS,
        of="URLs",
    )

    @validates_schema
    def one_way(self, data: dict[str, Any], **_: Any) -> None:
        if "ramp" in data and "steps" in data:
            raise ValidationError({"ramp": ["stands only where steps are not given"]})

    @validates_schema
    def upwards(self, data: dict[str, Any], **_: Any) -> None:
        for index, (before, step) in enumerate(pairwise(data.get("steps", ())), 1):
            if step.ratio <= before.ratio:
                fault = [f"got {step.ratio}, must be above the step before ({before.ratio})"]
                raise ValidationError({"steps": {index: {"ratio": fault}}})

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Plan:
        ramp: Ramp | None = data.pop("ramp", None)
        return Plan(**data | ({"steps": ramp.as_steps()} if ramp else {}))


_PLAN = PlanPart()


def load(data: Any) -> Plan:
    """The plan that decoded JSON spells; raises InvalidPlan naming every faulty field (20 at most)."""
    plan: Plan = read(_PLAN, data, InvalidPlan)
    return plan


def parse(raw: bytes) -> Plan:
    """The plan in `raw`, JSON of at most 64 KiB; raises InvalidPlan."""
    plan: Plan = read_bytes(_PLAN, raw, LARGEST, InvalidPlan)
    return plan


def dump(plan: Plan) -> dict[str, Any]:
    """The whole plan, defaults and all, a ramp as its steps: `load(dump(plan)) == plan`. Durations are seconds."""
    return dict(_PLAN.dump(plan))
