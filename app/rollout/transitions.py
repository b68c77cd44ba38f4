"""All transitions there are, as a table: from a state, by a signal, into a state, with an effect.

A signal that is not in it for a state does nothing there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.rollout import effects
from app.rollout.document import Document
from app.rollout.effects import Effect
from app.rollout.signals import Signal
from app.rollout.situation import Situation
from app.rollout.state import Rollout, State


class Move(NamedTuple):
    """A transition, told of if there is a reason: `who` gave a command, `why` is what there was to say, `share` the
    step's."""

    to: State
    effect: Callable[[Rollout, Document, Situation], Effect]
    reason: str = ""


_ABORTED = Move(State.ABORTING, effects.recall, "aborted by {who}")
_FAILED = Move(State.ABORTING, effects.recall, "{why}")
_PROMOTED = Move(State.PROMOTING, effects.promote, "promoted by {who}")
_FOREIGN = Move(
    State.PAUSED,
    effects.hand_over,
    "the config document was changed by somebody else; resume when it is as it should be",
)

TRANSITIONS: dict[tuple[State, Signal], Move] = {
    (State.WAITING, Signal.ABORT): _ABORTED,
    (State.WAITING, Signal.READY): Move(State.RUNNING, effects.first_step, "started: {share} to the canary"),
    (State.WAITING, Signal.UNREADY): Move(State.WAITING, effects.wait),
    (State.RUNNING, Signal.ABORT): _ABORTED,
    (State.RUNNING, Signal.PAUSE): Move(State.PAUSED, effects.nothing, "paused by {who}"),
    (State.RUNNING, Signal.APPROVE): Move(State.RUNNING, effects.approve, "approved by {who}"),
    (State.RUNNING, Signal.PROMOTE): _PROMOTED,
    (State.RUNNING, Signal.FOREIGN): _FOREIGN,
    (State.RUNNING, Signal.FAILED): _FAILED,
    (State.RUNNING, Signal.AWAY): Move(
        State.RUNNING, effects.stand_still, "the config server is back: resumed by itself"
    ),
    (State.RUNNING, Signal.PENDING): Move(State.RUNNING, effects.repeat_ratio),
    (State.RUNNING, Signal.STARVED): Move(State.PAUSED, effects.nothing, "{why}"),
    (State.RUNNING, Signal.UNDECIDED): Move(State.PAUSED, effects.nothing, "{why}"),
    (State.RUNNING, Signal.GIVEN_UP): _FAILED,
    (State.RUNNING, Signal.UNCONFIRMED): Move(State.RUNNING, effects.ask),
    (State.RUNNING, Signal.LAST_STEP_OVER): Move(State.PROMOTING, effects.promote, "the canary has passed"),
    (State.RUNNING, Signal.STEP_OVER): Move(State.RUNNING, effects.next_step, "{share} to the canary"),
    (State.PAUSED, Signal.ABORT): _ABORTED,
    (State.PAUSED, Signal.RESUME): Move(State.RUNNING, effects.resume, "resumed by {who}: {share} to the canary"),
    (State.PAUSED, Signal.PROMOTE): _PROMOTED,
    (State.PAUSED, Signal.TAKEN): _FOREIGN,
    (State.PAUSED, Signal.FAILED): _FAILED,
    (State.PROMOTING, Signal.ABORT): _ABORTED,
    (State.PROMOTING, Signal.PROMOTED): Move(State.DONE, effects.nothing, "everybody gets what was the canary"),
    (State.PROMOTING, Signal.FOREIGN): _FOREIGN,
    (State.PROMOTING, Signal.PENDING): Move(State.PROMOTING, effects.repeat_promotion),
    (State.ABORTING, Signal.RECALLED): Move(State.ROLLED_BACK, effects.nothing, "nobody gets the canary"),
    (State.ABORTING, Signal.NOT_RECALLED): Move(State.ABORTING, effects.recall),
    (State.DONE, Signal.UNDO): Move(State.ABORTING, effects.recall, "undone by {who}"),
}  # fmt: skip
