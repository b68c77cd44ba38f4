"""What a store has to do, said once more and as plainly as can be: dicts and lists, and no disk, no batches, no hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kv.engine.base import Limits
from kv.errors import Conflict, Full, Gone, Kept, NotFound, PatchTestFailed, TooLarge
from kv.model import NO_ETAG, Condition, Delete, Merge, Operation, Patch, Put, etag_of


@dataclass(frozen=True)
class Entry:
    """One version. `value` None: a deletion; `ttl` not None: nowhere kept."""

    revision: int
    number: int
    value: bytes | None
    ttl: float | None = None

    @property
    def etag(self) -> str:
        return NO_ETAG if self.value is None else etag_of(self.revision, self.value)


@dataclass(frozen=True)
class Outcome:
    """What one operation came to."""

    entry: Entry
    changed: bool
    created: bool


@dataclass
class Model:
    """`kept`: every version of a key since it was new. `passing`: the keys that are there with a ttl."""

    limits: Limits
    revision: int = 0
    kept: dict[str, list[Entry]] = field(default_factory=dict)
    passing: dict[str, Entry] = field(default_factory=dict)

    def newest(self, key: str) -> Entry | None:
        return self.passing.get(key) or (self.kept[key][-1] if key in self.kept else None)

    def live(self, key: str) -> Entry | None:
        entry = self.newest(key)
        return entry if entry and entry.value is not None else None

    def etag(self, key: str) -> str:
        entry = self.newest(key)
        return entry.etag if entry else NO_ETAG

    def history(self, key: str) -> list[Entry]:
        """Oldest first."""
        return self.kept.get(key, [])[-self.limits.versions :]

    def version(self, key: str, revision: int) -> Entry:
        """Raises NotFound and Gone."""
        history = self.history(key)
        for entry in [*history, *([self.passing[key]] if key in self.passing else [])]:
            if entry.revision == revision and entry.value is not None:
                return entry
        if history and history[0].number > 1 and revision < history[0].revision:
            raise Gone("")
        raise NotFound("")

    def scan(self, prefix: str) -> list[tuple[str, bytes]]:
        keys = sorted({*self.kept, *self.passing})
        return [(key, entry.value) for key in keys if key.startswith(prefix) and (entry := self.live(key))]

    def commit(
        self, conditions: Sequence[Condition], operations: Sequence[Operation], revision: int
    ) -> list[Outcome]:
        """`revision`: what it is to have if it changes anything. Raises what Engine.commit does."""
        for condition in conditions:
            if not condition.holds(self.etag(condition.key)):
                raise Conflict("")
        outcomes = [self._outcome(operation, revision) for operation in operations]
        if any(outcome.changed for outcome in outcomes):
            self._make_room([operation.key for operation in operations])
            self.revision = revision
            for operation, outcome in zip(operations, outcomes, strict=True):
                if outcome.changed:
                    self._add(operation.key, outcome.entry)
        return outcomes

    def _outcome(self, operation: Operation, revision: int) -> Outcome:
        before = self.live(operation.key)
        value = _value(operation, before)
        if value is not None and len(value) > self.limits.value_bytes:
            raise TooLarge("")
        ttl = operation.ttl if isinstance(operation, Put) else before.ttl if before else None
        if ttl is not None and before and before.ttl is None:
            raise Kept("")
        if before and (before.value, before.ttl) == (value, ttl):
            return Outcome(before, changed=False, created=False)
        number = len(self.kept.get(operation.key, [])) + (ttl is None)
        return Outcome(Entry(revision, number, value, ttl), changed=True, created=before is None)

    def _add(self, key: str, entry: Entry) -> None:
        self.passing.pop(key, None)
        if entry.ttl is None:
            self.kept.setdefault(key, []).append(entry)
        elif entry.value is not None:
            self.passing[key] = entry

    def _make_room(self, keys: Sequence[str]) -> None:
        known = {*self.kept, *self.passing}
        excess = len(known.union(keys)) - self.limits.keys
        deleted = [key for key in self.kept if self.live(key) is None and key not in keys]
        deleted.sort(key=lambda key: self.kept[key][-1].revision)
        if known.issuperset(keys) or excess <= 0:
            return
        if len(deleted) < excess:
            raise Full("")
        for key in deleted[:excess]:
            del self.kept[key]

    def restart(self, revision: int, *, passing: bool = False) -> None:
        """The store goes on from `revision`, which is no lower; without what has a ttl, unless `passing`."""
        assert revision >= self.revision
        if not passing:
            self.passing.clear()
        self.revision = revision


def _value(operation: Operation, before: Entry | None) -> bytes | None:
    if isinstance(operation, Put):
        return operation.value
    if before is None or before.value is None:
        raise NotFound("")
    if isinstance(operation, Delete):
        return None
    document = json.loads(before.value)
    after = (
        merged(document, operation.patch) if isinstance(operation, Merge) else patched(document, operation)
    )
    return before.value if _text(after) == _text(document) else _text(after).encode()


def _text(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


def patched(document: Any, operation: Patch) -> Any:
    """Of RFC 6902 only `test` and `replace`, of the whole document. True is no number there."""
    for step in operation.steps:
        different = step.value != document or isinstance(step.value, bool) != isinstance(document, bool)
        if step.operation == "test" and different:
            raise PatchTestFailed("")
        document = step.value
    return document
