"""What a rollout does next: `advance(rollout, situation, now)` gives the rollout as it is then, and an action.

Pure, and the same however often it is asked. Whoever runs it writes the rollout down first and acts after that, on
condition that nobody has written either document since; killed in between, the next one finds what is to be done.
"""

from __future__ import annotations

from dataclasses import replace

from app.errors import CommandRefused
from app.rollout import document as documents
from app.rollout.effects import Action
from app.rollout.signals import Signal, seen
from app.rollout.situation import Command, Situation, awaited
from app.rollout.state import Rollout, State
from app.rollout.transitions import TRANSITIONS, Move

# Between two moments no more time than this, in seconds, counts for a step: nobody may have looked in between.
_LONGEST_GAP = 5.0


def advance(rollout: Rollout, situation: Situation, now: float) -> tuple[Rollout, Action]:
    """The rollout after this moment, and what is to be done then. `now`: seconds since the epoch.

    Raises CommandRefused when the command in the situation is not for this state.
    """
    if situation.command:
        _refuse(rollout, situation)
    rollout = _later(rollout, situation, now)
    if situation.config is None:
        return rollout, None
    for signal in Signal:
        move = TRANSITIONS.get((rollout.state, signal))
        if move and seen(signal, rollout, situation):
            return _made(move, signal, rollout, situation, now)
    return rollout, None


def commands(rollout: Rollout) -> tuple[Command, ...]:
    """What a person may ask for in this state."""
    return tuple(command for command in Command if (rollout.state, Signal(command)) in TRANSITIONS)


def _refuse(rollout: Rollout, situation: Situation) -> None:
    command, config = situation.command, situation.config
    allowed = commands(rollout)
    if command not in allowed:
        can = f"it can be told to {', '.join(allowed)}" if allowed else "nothing can be asked of it"
        raise CommandRefused(f"cannot {command} a rollout that is {rollout.state}: {can}")
    if config is None:
        raise CommandRefused(f"cannot {command}: the config document cannot be read")
    if command in (Command.RESUME, Command.PROMOTE) and (why := documents.unready(config)):
        raise CommandRefused(f"cannot {command}: {why}")
    if command == Command.UNDO and not documents.is_promoted(config, rollout.promotion):
        raise CommandRefused("cannot undo: the config document is no longer as the promotion left it")


def _later(rollout: Rollout, situation: Situation, now: float) -> Rollout:
    gone = 0.0
    if rollout.state == State.RUNNING and situation.in_force(rollout) and not situation.blind:
        until = now if situation.away is None else situation.away
        gone = min(max(until - rollout.clock, 0.0), _LONGEST_GAP)
    return replace(rollout, held=rollout.held + gone, clock=now)


def _made(
    move: Move, signal: Signal, rollout: Rollout, situation: Situation, now: float
) -> tuple[Rollout, Action]:
    assert situation.config is not None
    after, action = move.effect(rollout, situation.config, situation)
    if not move.reason:
        return after, action
    why = situation.why if signal == Signal.FAILED else awaited(rollout, situation)[1]
    reason = move.reason.format(who=situation.who or "somebody", why=why, share=f"{after.ratio * 100:.4g} %")
    return after.into(move.to, reason, now), action
