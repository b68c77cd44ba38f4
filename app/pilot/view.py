"""What the pilot saw when it looked last: what it decides by, and all that it shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from gevent.event import Event

from app.config.keys import Stored
from app.pilot.instances import Instance
from app.rollout.document import Document
from app.rollout.situation import Situation
from app.rollout.state import Rollout, State
from app.rollout.verdict import Verdict


@dataclass(slots=True)
class View:
    """`trouble`: why there was no look lately. `at`, `away`: seconds since the epoch, the latter of the first look
    that the config server did not answer; None: it does, and what is to be said of that is said.

    `blind`: why there are no numbers for the verdict. `changed` is set at the next look.
    """

    at: float = 0.0
    leads: bool = False
    leader: str | None = None
    trouble: str | None = None
    away: float | None = None
    blind: str | None = None
    instances: tuple[Instance, ...] = ()
    config: Stored | None = None
    document: Document | None = None
    rollout: Rollout | None = None
    situation: Situation | None = None
    verdict: Verdict | None = None
    changed: Event = field(default_factory=Event)

    @property
    def shown(self) -> Rollout | None:
        """The rollout as it is now: while the config server is away it is paused, though that cannot be written."""
        if self.rollout is None or not self.stands_still:
            return self.rollout
        assert self.away is not None
        return self.rollout.stood_still(self.away)

    @property
    def stands_still(self) -> bool:
        """Would the rollout go on, if only the config server were there?"""
        running = self.rollout is not None and self.rollout.state == State.RUNNING
        return running and self.away is not None
