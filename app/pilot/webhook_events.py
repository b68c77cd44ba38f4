"""What webhooks are sent, but for what each post adds. Pure; docs/pilot.md describes the fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.rollout.state import Rollout


def transitions(before: Rollout, after: Rollout) -> Iterator[dict[str, Any]]:
    """One event for each entry of the log that is new, the oldest first."""
    for entry in after.log:
        if entry not in before.log:
            yield {
                "rollout": after.id,
                "state": entry.state.value,
                "step": entry.step,
                "ratio": after.plan.steps[entry.step].ratio,
                "reason": entry.reason,
                "at": entry.at,
            }


def question(rollout: Rollout) -> dict[str, Any]:
    """To those who must confirm that the present step may end."""
    return {"ask": "confirm", "rollout": rollout.id, "step": rollout.step, "ratio": rollout.ratio}
