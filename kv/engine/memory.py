"""The engine without a disk, for tests and trials: what it holds goes with the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from gevent.queue import Queue

from kv.engine.base import Limits
from kv.engine.mirror import Draft, Mirror
from kv.engine.plan import plan
from kv.errors import Gone, Unavailable
from kv.model import Commit, Condition, Event, Item, Meta, Operation, Version


class MemoryEngine:
    """See Engine."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._mirror = Mirror()
        self._versions: dict[str, deque[Item]] = {}
        self._feed: Queue[Event | None] = Queue()
        self._accepting = False

    def open(self) -> int:
        self._accepting = True
        return self._mirror.revision

    def get(self, key: str, revision: int | None = None) -> Item | None:
        if revision is None:
            return self._mirror.get(key)
        kept = self._versions.get(key, ())
        for item in kept:
            if item.version.revision == revision:
                return item
        if kept and kept[0].version.number > 1 and revision < kept[0].version.revision:
            raise Gone("this version is no longer kept", key=key)
        return None

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        return self._mirror.scan(prefix, after, limit)

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        if not self._accepting:
            raise Unavailable("the store is closed")
        commit = plan(Draft(self._mirror), conditions, operations, meta, self._limits)
        if commit.changes:
            self._remember(commit)
            self._mirror.apply(commit)
            self._feed.put(commit)
        return commit

    def _remember(self, commit: Commit) -> None:
        for key in commit.forgotten:
            del self._versions[key]
        for item in commit.changes:
            self._versions.setdefault(item.key, deque(maxlen=self._limits.versions)).append(item)

    def history(self, key: str, limit: int) -> list[Version]:
        return [item.version for item in reversed(self._versions.get(key, ()))][:limit]

    def feed(self) -> Iterator[Event]:
        while (event := self._feed.get()) is not None:
            yield event

    def status(self) -> dict[str, Any]:
        return {"engine": "memory", "revision": self._mirror.revision}

    def close(self) -> None:
        self._accepting = False
        self._feed.put(None)
