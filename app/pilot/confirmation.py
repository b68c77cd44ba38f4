"""Asks those who must let a step end. Nobody waits for their answer: it is there at a later look, or not yet."""

from __future__ import annotations

import gevent
from gevent import Greenlet

from app.pilot.webhook_events import question
from app.pilot.webhooks import Webhooks
from app.rollout.state import Entry, Rollout

# An answer is good until the next transition.
_Moment = tuple[str, tuple[Entry, ...]]


class Confirmation:
    """One question at a time."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._given: _Moment | None = None
        self._asked: Greenlet[[Rollout], None] | None = None

    def given(self, rollout: Rollout) -> bool:
        """Have all said yes, as the rollout is now?"""
        return self._given == _moment(rollout)

    def ask(self, rollout: Rollout) -> None:
        """Unless a question is under way."""
        if self._asked is None or self._asked.ready():
            self._asked = gevent.spawn(self._put, rollout)

    def stop(self) -> None:
        """Wait for no answer any more."""
        if self._asked is not None:
            self._asked.kill(block=False)

    def _put(self, rollout: Rollout) -> None:
        if self._webhooks.confirmed(rollout.plan.confirm, question(rollout)):
            self._given = _moment(rollout)


def _moment(rollout: Rollout) -> _Moment:
    return rollout.id, rollout.log[-1:]
