"""Which keys changed lately, and when, so that who was away for a moment is told only what it missed. Pure."""

from __future__ import annotations

from collections import deque

CHANGES = 10_000


class Journal:
    """The last `limit` changes. `floor`: what is later than that revision is complete."""

    def __init__(self, limit: int = CHANGES) -> None:
        self._limit = limit
        self._changes: deque[tuple[int, str]] = deque()
        self.floor = 0

    def begin(self, revision: int) -> None:
        """Forget everything: what happened up to `revision` is not known."""
        self._changes.clear()
        self.floor = revision

    def add(self, revision: int, key: str) -> None:
        self._changes.append((revision, key))
        if len(self._changes) > self._limit:
            self.floor, _ = self._changes.popleft()

    def after(self, revision: int, prefix: str) -> dict[str, int] | None:
        """The keys under `prefix` that changed later than `revision`, the last changed last, and when each did.

        None when that is not known.
        """
        if revision < self.floor:
            return None
        found: dict[str, int] = {}
        for changed, key in reversed(self._changes):
            if changed <= revision:
                break
            if key.startswith(prefix):
                found.setdefault(key, changed)
        return dict(reversed(found.items()))
