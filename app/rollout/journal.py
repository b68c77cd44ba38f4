"""How a rollout is written down: one flat JSON object, the plan's fields beside those of its state."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from app.errors import InvalidPlan, InvalidState
from app.rollout import plan_schema
from app.rollout.plan_schema import PlanPart
from app.rollout.state import Entry, Intent, Mark, Promotion, Rollout, State

_PLAN_FIELDS = frozenset(PlanPart().fields)


def dump(rollout: Rollout) -> dict[str, Any]:
    """As JSON: `load(dump(rollout)) == rollout`."""
    return {
        "id": rollout.id,
        "state": rollout.state.value,
        "step": rollout.step,
        "reason": rollout.reason,
        **plan_schema.dump(rollout.plan),
        "held": rollout.held,
        "clock": rollout.clock,
        "requests": rollout.requests,
        "approved": rollout.approved,
        "hands_off": rollout.hands_off,
        "trial": rollout.trial,
        "canaries": list(rollout.canaries),
        "intent": {"before": list(rollout.intent.before), "after": list(rollout.intent.after)},
        "promotion": rollout.promotion and asdict(rollout.promotion),
        "log": [asdict(entry) | {"state": entry.state.value} for entry in rollout.log],
    }


def read(raw: bytes) -> Rollout:
    """The rollout that is stored so. Raises InvalidState."""
    try:
        return load(json.loads(raw))
    except ValueError as fault:
        raise InvalidState(f"the rollout is not JSON: {fault}") from None


def load(data: Any) -> Rollout:
    """The rollout that decoded JSON spells. Raises InvalidState."""
    try:
        rollout = _load(data)
    except (AttributeError, InvalidPlan, LookupError, TypeError, ValueError) as fault:
        raise InvalidState(f"not a rollout: {fault!r:.200}") from None
    return rollout


def _load(data: Any) -> Rollout:
    plan = plan_schema.load({name: value for name, value in data.items() if name in _PLAN_FIELDS})
    if not 0 <= data["step"] < len(plan.steps):
        raise ValueError(f"step {data['step']} of {len(plan.steps)}")
    exchanged = data["promotion"]
    return Rollout(
        str(data["id"]),
        plan,
        State(data["state"]),
        int(data["step"]),
        str(data["reason"]),
        float(data["held"]),
        float(data["clock"]),
        int(data["requests"]),
        bool(data["approved"]),
        bool(data["hands_off"]),
        int(data["trial"]),
        tuple(map(str, data["canaries"])),
        Intent(Mark(*data["intent"]["before"]), Mark(*data["intent"]["after"])),
        exchanged and Promotion(dict(exchanged["old"]), dict(exchanged["new"])),
        tuple(
            Entry(float(each["at"]), State(each["state"]), int(each["step"]), str(each["reason"]))
            for each in data["log"]
        ),
    )
