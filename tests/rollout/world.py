"""A small world for the controller: two documents under compare-and-set, and pilots that may be killed or held up."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from app.rollout import journal
from app.rollout.controller import advance
from app.rollout.document import Document
from app.rollout.effects import Action, Ask, Write
from app.rollout.plan import Plan, Step
from app.rollout.situation import Command, Situation
from app.rollout.state import Rollout

PLAN = Plan((Step(0.01), Step(0.1), Step(0.5)), hold=10.0, warmup=2.0, min_requests=100)


def config(**fields: Any) -> dict[str, Any]:
    """A config document as people write it."""
    stable, canary = ({"servers": [{"url": f"http://{name}"}]} for name in ("stable", "canary"))
    return {"style": "ratio", "ratio": 0, "stable": stable, "canary": canary} | fields


@dataclass(slots=True)
class Held:
    """A write that a pilot decided on and has not made yet: it made it from these revisions."""

    write: Write
    config: int
    rollout: int


@dataclass(slots=True)
class World:
    """`seen` is what the next pilot that looks will see of traffic; `config` and `rollout` are as written last."""

    config: Document = field(default_factory=config)
    config_revision: int = 1
    rollout: Rollout = field(default_factory=lambda: Rollout("none", PLAN))
    revision: int = 1
    now: float = 1000.0
    seen: Situation = field(default_factory=lambda: Situation(None))
    away: bool = False
    written: list[Document] = field(default_factory=list)

    def begin(self, plan: Plan = PLAN) -> Rollout:
        """A new rollout."""
        self._write_down(Rollout("r1", plan))
        return self.rollout

    def _write_down(self, rollout: Rollout) -> None:
        """It is JSON on the way."""
        self.rollout = journal.load(json.loads(json.dumps(journal.dump(rollout))))

    def look(self, command: Command | None = None, *, killed: bool = False, who: str = "") -> Held | None:
        """One pilot's moment. `killed`: between writing down and acting. What it would write, if it was."""
        before, revision = self.rollout, self.revision
        held, _ = self.decide(before, command, who)
        assert self.revision in (revision, revision + 1)
        if held and not killed:
            self.act(held)
        return held

    def decide(
        self, before: Rollout, command: Command | None = None, who: str = ""
    ) -> tuple[Held | None, Action]:
        """What one moment comes to; the rollout is written down."""
        config = None if self.away else self.config
        situation = replace(self.seen, config=config, command=command, who=who)
        after, action = advance(before, situation, self.now)
        if not self.away:
            self._write_down(after)
            self.revision += after.differs(before)
        held = Held(action, self.config_revision, self.revision) if isinstance(action, Write) else None
        return held, action

    def act(self, held: Held) -> bool:
        """Whether the write is made: on condition that neither document has been written since."""
        if (held.config, held.rollout) != (self.config_revision, self.revision):
            return False
        self.config, self.config_revision = (
            json.loads(json.dumps(held.write.document)),
            self.config_revision + 1,
        )
        self.written.append(self.config)
        return True

    def change(self, **fields: Any) -> None:
        """Somebody writes the config document."""
        self.config, self.config_revision = {**self.config, **fields}, self.config_revision + 1

    def see(self, **fields: Any) -> None:
        """What a pilot will see from now on."""
        self.seen = replace(self.seen, **fields)

    def run(self, seconds: float, each: float = 1.0) -> list[Action]:
        """Time goes by, with a look each second."""
        actions = []
        for _ in range(round(seconds / each)):
            self.now += each
            held, action = self.decide(self.rollout)
            actions.append(action)
            if held:
                self.act(held)
        return [action for action in actions if action]


def asked(actions: list[Action]) -> int:
    """How often confirmation was asked for."""
    return sum(isinstance(action, Ask) for action in actions)
