"""The judge of the rollout under way, and how its evidence outlives the pilot: as a key of the config server."""

from __future__ import annotations

import json
import logging

from app.config.keys import KeyClient, Write
from app.errors import ConfigMissing, ConfigServerError, InvalidState
from app.rollout.judge import Judge
from app.rollout.state import Rollout

log = logging.getLogger(__name__)

# For so many seconds evidence is kept while no pilot runs.
_TTL = 86_400.0


class Evidence:
    """`judge` is the one of `judge_of` that was asked for last; None: there is none yet."""

    def __init__(self, keys: KeyClient, service: str) -> None:
        self._keys = keys
        self._key = f"{service}/evidence"
        self._place: tuple[str, int, int] = ("", 0, 0)
        self.judge: Judge | None = None

    def forget(self) -> None:
        """There is another rollout."""
        self.judge = None

    def judge_of(self, rollout: Rollout) -> Judge:
        """The rollout's, with all evidence that there is of it. Raises ConfigServerError."""
        place = rollout.id, rollout.trial, rollout.step
        if self.judge is None or self._place[:2] != place[:2]:
            self.judge = self._remembered(rollout)
        elif self._place != place:
            self.judge.begin_step()
        self._place = place
        return self.judge

    def judge_if_of(self, rollout: Rollout) -> Judge | None:
        """The present judge, if it is this rollout's."""
        return self.judge if self._place[0] == rollout.id else None

    def keep(self, rollout: Rollout) -> None:
        """Write it down; if that fails, it is done next time."""
        judge = self.judge_if_of(rollout)
        if judge is None:
            return
        evidence = {"id": rollout.id, "trial": rollout.trial, "evidence": judge.dump()}
        try:
            self._keys.put(self._key, json.dumps(evidence).encode(), Write(ttl=_TTL))
        except ConfigServerError as fault:
            log.warning("the evidence could not be written down: %s", fault)

    def _remembered(self, rollout: Rollout) -> Judge:
        try:
            kept = json.loads(self._keys.get(self._key).raw)
            if (kept["id"], kept["trial"]) == (rollout.id, rollout.trial):
                return Judge.load(rollout.plan, kept["evidence"])
        except (ConfigMissing, InvalidState, ValueError, LookupError, TypeError):
            log.info("no evidence of rollout %s is kept: it begins anew", rollout.id)
        return Judge(rollout.plan)
