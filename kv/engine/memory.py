"""The engine without a disk, for tests and trials: what it holds goes with the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gevent.queue import Queue

from kv.engine.base import Limits
from kv.engine.leases import PERIOD, Leases
from kv.engine.mirror import Draft, Mirror
from kv.engine.plan import expiry, plan
from kv.errors import Gone, Unavailable
from kv.model import Commit, Condition, Event, Item, Meta, Operation, Version


class MemoryEngine:
    """See Engine. `period`: seconds between two looks for keys whose time is up."""

    def __init__(self, limits: Limits | None = None, *, period: float = PERIOD) -> None:
        self._limits = limits or Limits()
        self._mirror = Mirror()
        self._leases = Leases(self._expire, period=period)
        self._versions: dict[str, deque[Item]] = {}
        self._feed: Queue[Event | None] = Queue()
        self._accepting = False

    def open(self) -> int:
        self._accepting = True
        self._leases.start()
        return self._mirror.revision

    def get(self, key: str, revision: int | None = None) -> Item | None:
        if revision is None:
            return self._mirror.get(key)
        newest = self._mirror.newest(key)
        if newest is not None and newest.version.revision == revision:
            return newest
        kept = self._versions.get(key, ())
        for item in kept:
            if item.version.revision == revision:
                return item
        if kept and kept[0].version.number > 1 and revision < kept[0].version.revision:
            raise Gone("this version is no longer kept", key=key)
        return None

    def peek(self, key: str) -> Item | None:
        return self._mirror.get(key)

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        return self._mirror.scan(prefix, after, limit)

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        if not self._accepting:
            raise Unavailable("the store is closed")
        commit = plan(Draft(self._mirror), conditions, operations, meta, self._limits)
        self._apply(commit)
        return commit

    def _expire(self, by: float) -> None:
        self._apply(expiry(Draft(self._mirror), self._leases.due(by)))

    def _apply(self, commit: Commit) -> None:
        self._leases.follow(commit)
        if commit.changes:
            self._remember(commit)
            self._mirror.apply(commit)
            self._feed.put(commit)

    def _remember(self, commit: Commit) -> None:
        for key in commit.forgotten:
            del self._versions[key]
        for item in commit.kept:
            self._versions.setdefault(item.key, deque(maxlen=self._limits.versions)).append(item)

    def history(self, key: str, limit: int) -> list[Version]:
        return [item.version for item in reversed(self._versions.get(key, ()))][:limit]

    def feed(self) -> Iterator[Event]:
        while (event := self._feed.get()) is not None:
            yield event

    def status(self) -> dict[str, Any]:
        return {"engine": "memory", "revision": self._mirror.revision, "keys": len(self._mirror)}

    def backup(self) -> Iterator[Item]:
        kept = [item for key in sorted(self._versions) for item in self._versions[key]]
        yield from kept

    def restore(self, items: Iterable[Item], revision: int) -> None:
        versions: dict[str, deque[Item]] = {}
        for item in items:
            versions.setdefault(item.key, deque(maxlen=self._limits.versions)).append(item)
        self._versions = versions
        self._mirror = Mirror((kept[-1] for kept in versions.values()), revision)

    def close(self) -> None:
        self._accepting = False
        self._leases.stop()
        self._feed.put(None)
