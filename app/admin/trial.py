"""Which canary a rollout tries now, and what its plan calls slow: asked of the config server, by who reports to it.

What cannot be learnt stays as it was: no answer, or a rollout that another version of Serin has written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.config.keys import KeyClient, Stored
from app.errors import ConfigMissing, ConfigServerError, InvalidState
from app.rollout import journal
from app.rollout.state import ENDS

log = logging.getLogger(__name__)

# A canary, by the rollout's id and its trial, None while none is tried; and a time to the head, in seconds.
Heed = Callable[[tuple[str, int] | None, float | None], None]


class TrialNews:
    """`heed` is told whenever the rollout under `key` has changed; see Observer."""

    def __init__(self, key: str, heed: Heed) -> None:
        self._key = key
        self._heed = heed
        self._etag: str | None = None
        self._trouble: str | None = None

    def ask(self, keys: KeyClient) -> None:
        """Once. What goes wrong is one line in the log."""
        try:
            stored = keys.get_changed(self._key, self._etag)
            if stored is not None:
                self._take(stored)
        except ConfigMissing:
            self._etag = None
            self._heed(None, None)
        except (ConfigServerError, InvalidState) as fault:
            self._note(str(fault))
            return
        self._trouble = None

    def _take(self, stored: Stored) -> None:
        self._etag = stored.etag
        rollout = journal.read(stored.raw)
        slow = rollout.plan.gates.slow
        if rollout.state in ENDS:
            self._heed(None, None)
        else:
            self._heed((rollout.id, rollout.trial), slow.over if slow else None)

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("what the rollout calls slow cannot be learnt: %s", trouble)
        self._trouble = trouble
