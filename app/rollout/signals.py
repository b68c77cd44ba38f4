"""What may make a rollout change its state, in the order of importance: commands first, then the world, then time."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from app.rollout import document as documents
from app.rollout.document import mark
from app.rollout.situation import Command, Situation, Wait, awaited
from app.rollout.state import Rollout
from app.rollout.verdict import ROLLBACK


class Signal(StrEnum):
    """Of two that are seen at once, the one that stands first holds."""

    ABORT = "abort"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    UNDO = "undo"
    PROMOTED = "promoted"
    FOREIGN = "foreign"
    TAKEN = "taken"
    FAILED = "failed"
    AWAY = "away"
    PENDING = "pending"
    RECALLED = "recalled"
    NOT_RECALLED = "not_recalled"
    READY = "ready"
    UNREADY = "unready"
    STARVED = "starved"
    UNDECIDED = "undecided"
    GIVEN_UP = "given_up"
    UNCONFIRMED = "unconfirmed"
    LAST_STEP_OVER = "last_step_over"
    STEP_OVER = "step_over"


Seen = Callable[[Rollout, Situation], bool]


def seen(signal: Signal, rollout: Rollout, situation: Situation) -> bool:
    """Is it to be seen in this situation?"""
    return _SEEN[signal](rollout, situation)


def _commanded(command: Command) -> Seen:
    return lambda _, situation: situation.command == command


def _foreign(rollout: Rollout, situation: Situation) -> bool:
    """Somebody else has written the document: it is neither what was to be changed nor what that makes."""
    assert situation.config is not None
    return mark(situation.config) not in (rollout.intent.before, rollout.intent.after)


def _taken(rollout: Rollout, situation: Situation) -> bool:
    """Somebody else has changed what this rollout is about."""
    assert situation.config is not None
    known = (rollout.intent.before.steered, rollout.intent.after.steered)
    return not rollout.hands_off and mark(situation.config).steered not in known


def _pending(rollout: Rollout, situation: Situation) -> bool:
    return not situation.in_force(rollout) and not _foreign(rollout, situation)


def _promoted(rollout: Rollout, situation: Situation) -> bool:
    assert situation.config is not None
    return documents.is_promoted(situation.config, rollout.promotion)


def _recalled(rollout: Rollout, situation: Situation) -> bool:
    assert situation.config is not None
    return documents.recalled(situation.config, rollout.promotion) == situation.config


def _ready(rollout: Rollout, situation: Situation) -> bool:
    assert situation.config is not None
    return documents.unready(situation.config) is None


def _waits_for(*waits: Wait) -> Seen:
    return lambda rollout, situation: awaited(rollout, situation)[0] in waits


def _undecided(*policies: str) -> Seen:
    undecided = _waits_for(Wait.VERDICT)
    return lambda rollout, situation: (
        rollout.plan.on_inconclusive in policies and undecided(rollout, situation)
    )


_SEEN: dict[Signal, Seen] = {
    **{Signal(command): _commanded(command) for command in Command},
    Signal.PROMOTED: _promoted,
    Signal.FOREIGN: _foreign,
    Signal.TAKEN: _taken,
    Signal.FAILED: lambda rollout, situation: situation.outcome == ROLLBACK and not rollout.hands_off,
    Signal.AWAY: lambda rollout, situation: situation.away is not None,
    Signal.PENDING: _pending,
    Signal.RECALLED: _recalled,
    Signal.NOT_RECALLED: lambda rollout, situation: not _recalled(rollout, situation),
    Signal.READY: _ready,
    Signal.UNREADY: lambda rollout, situation: not _ready(rollout, situation),
    Signal.STARVED: lambda rollout, situation: (
        rollout.plan.no_data == "pause" and _waits_for(Wait.REQUESTS)(rollout, situation)
    ),
    Signal.UNDECIDED: _undecided("pause"),
    Signal.GIVEN_UP: _undecided("rollback"),
    Signal.UNCONFIRMED: _waits_for(Wait.CONFIRMATION),
    Signal.LAST_STEP_OVER: lambda rollout, situation: (
        rollout.last and _waits_for(Wait.NOTHING)(rollout, situation)
    ),
    Signal.STEP_OVER: _waits_for(Wait.NOTHING),
}
