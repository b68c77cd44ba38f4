"""What a rollout is decided by at one moment: the world as it is seen, and what a step still waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from app.config.wording import as_duration
from app.rollout.document import Document, mark
from app.rollout.state import Rollout
from app.rollout.verdict import INCONCLUSIVE, PASS


class Command(StrEnum):
    """What a person may ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    ABORT = "abort"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Situation:
    """`config`: the document at the config server, decoded and valid; None while there is none or it cannot be read.

    `outcome` and `why` are the verdict's, `requests` how many the canary has had so far, `alarm` what is wrong with
    its share. `confirmed`: whoever must be asked has let this step end. `command`, of `who`: given at this moment.
    `blind`: why there are no numbers to judge by. `away`: since when the config server was away until just now,
    in seconds since the epoch; None: it was not.
    """

    config: Document | None
    outcome: str = INCONCLUSIVE
    why: str = ""
    requests: int = 0
    alarm: str | None = None
    confirmed: bool = False
    command: Command | None = None
    who: str = ""
    blind: str | None = None
    away: float | None = None

    def in_force(self, rollout: Rollout) -> bool:
        """Has what was decided on last been done?"""
        return self.config is not None and mark(self.config) == rollout.intent.after


class Wait(StrEnum):
    """What a step waits for, in this order."""

    RATIO = "ratio"
    NUMBERS = "numbers"
    TIME = "time"
    REQUESTS = "requests"
    VERDICT = "verdict"
    SHARE = "share"
    APPROVAL = "approval"
    CONFIRMATION = "confirmation"
    NOTHING = "nothing"


def awaited(rollout: Rollout, situation: Situation) -> tuple[Wait, str]:
    """The first thing that keeps a step from ending, and a sentence about it."""
    for wait, kept_by in _KEPT_BY.items():
        if text := kept_by(rollout, situation):
            return wait, text
    return Wait.NOTHING, "the step may end"


def _time(rollout: Rollout, situation: Situation) -> str:
    left = rollout.plan.hold_of(rollout.step) - rollout.held
    return f"it lasts {as_duration(ceil(left))} more" if left > 0 else ""


def _requests(rollout: Rollout, situation: Situation) -> str:
    """Even where none are asked for, the canary must have had one: no traffic is never a pass."""
    needed = max(1, rollout.plan.min_requests)
    had = situation.requests - rollout.requests
    return f"the canary has had {had:,} of {needed:,} requests" if had < needed else ""


def _verdict(rollout: Rollout, situation: Situation) -> str:
    enough = situation.outcome == PASS or rollout.plan.on_inconclusive == "proceed"
    return "" if enough else situation.why or "there is no verdict yet"


def _approval(rollout: Rollout, situation: Situation) -> str:
    needed = rollout.plan.approve_of(rollout.step) and not rollout.approved
    return "a person must approve" if needed else ""


def _confirmation(rollout: Rollout, situation: Situation) -> str:
    needed = rollout.plan.confirm and not situation.confirmed
    return "it is not confirmed yet" if needed else ""


_KEPT_BY: dict[Wait, Callable[[Rollout, Situation], str]] = {
    Wait.RATIO: lambda rollout, situation: (
        "" if situation.in_force(rollout) else "its ratio is not in force yet"
    ),
    Wait.NUMBERS: lambda rollout, situation: situation.blind or "",
    Wait.TIME: _time,
    Wait.REQUESTS: _requests,
    Wait.VERDICT: _verdict,
    Wait.SHARE: lambda rollout, situation: situation.alarm or "",
    Wait.APPROVAL: _approval,
    Wait.CONFIRMATION: _confirmation,
}
