"""What is done at a transition: to the rollout, and to the world. None of it depends on the time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.rollout import document as documents
from app.rollout.document import Document, mark
from app.rollout.situation import Situation
from app.rollout.state import Intent, Rollout


@dataclass(frozen=True, slots=True)
class Write:
    """Put this config document in the place of the one that the situation had.

    On condition that neither that nor the rollout, as it was just written down, has been written since: who was
    held up for long must not act on what another has decided otherwise meanwhile.
    """

    document: Document


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask whoever must confirm whether this step may end; their answer is part of a later situation."""

    step: int


Action = Write | Ask | None
Effect = tuple[Rollout, Action]


def nothing(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """Only the state changes."""
    return rollout, None


def wait(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """For a config that can be rolled out."""
    return replace(rollout, reason=documents.unready(config) or ""), None


def first_step(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """The canary gets its first share."""
    return _begin(rollout, config, situation, 0)


def next_step(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """The canary gets its next share."""
    return _begin(rollout, config, situation, rollout.step + 1)


def resume(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """The step begins again, with the document as it is now; another canary begins at the first step."""
    if set(rollout.canaries) <= set(documents.canaries(config)):
        return _begin(rollout, config, situation, rollout.step)
    other = replace(rollout, trial=rollout.trial + 1)
    return _begin(other, config, replace(situation, requests=0), 0)


def repeat_ratio(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """What was decided on has not been done yet."""
    return rollout, Write(documents.with_ratio(config, rollout.ratio))


def approve(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """This step need not wait for a person any more."""
    return replace(rollout, approved=True), None


def ask(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """All else is fulfilled."""
    return rollout, Ask(rollout.step)


def stand_still(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """While the config server was away nothing could be written down: that it was paused then is told now."""
    assert situation.away is not None
    return rollout.stood_still(situation.away), None


def hand_over(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """Somebody else has written: whoever changed what this rollout is about has the wheel."""
    known = (rollout.intent.before.steered, rollout.intent.after.steered)
    return replace(rollout, hands_off=mark(config).steered not in known), None


def promote(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """Everybody gets the canary; what was stable is kept, to be undone to."""
    kept = replace(rollout, hands_off=False, promotion=documents.promotion(config))
    return _intend(kept, config, documents.promoted(config))


def repeat_promotion(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """What was decided on has not been done yet."""
    return rollout, Write(documents.promoted(config))


def recall(rollout: Rollout, config: Document, situation: Situation) -> Effect:
    """Nobody gets the canary, whoever wrote the document last and whatever else is in it."""
    wanted = documents.recalled(config, rollout.promotion)
    return rollout, None if wanted == config else Write(wanted)


def _begin(rollout: Rollout, config: Document, situation: Situation, step: int) -> Effect:
    begun = replace(
        rollout,
        step=step,
        held=0.0,
        requests=situation.requests,
        approved=False,
        hands_off=False,
        canaries=documents.canaries(config),
        promotion=None,
    )
    return _intend(begun, config, documents.with_ratio(config, begun.ratio))


def _intend(rollout: Rollout, config: Document, wanted: Document) -> Effect:
    intent = Intent(mark(config), mark(wanted))
    return replace(rollout, intent=intent), None if wanted == config else Write(wanted)
