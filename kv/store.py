"""The rules above any engine: what may be written under which key, and what a reader can wait for.

Knows documents, keys, versions and watchers; neither HTTP nor how anything is stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, TypeVar

from gevent.lock import BoundedSemaphore

from kv import backup, document, json_patch
from kv.engine.base import Engine
from kv.errors import Conflict, Full, NotFound
from kv.model import (
    Commit,
    Condition,
    Delete,
    Item,
    Merge,
    Meta,
    Operation,
    Patch,
    Put,
    Result,
    Version,
    check_key,
    check_prefix,
)
from kv.schema.examiner import Examiner
from kv.transaction import Transaction
from kv.watch import Hub

_T = TypeVar("_T")


def _ignore() -> None:
    """Who starts a store without asking hears of its failure through `check` and the log."""


class Store:
    """An engine and the hub that follows it. All keys given are checked here (BadKey)."""

    def __init__(
        self,
        engine: Engine,
        hub: Hub | None = None,
        clock: Callable[[], float] = time.time,
        examiner: Examiner | None = None,
    ) -> None:
        self.engine = engine
        self.hub = hub or Hub()
        self.examiner = examiner or Examiner()
        self._clock = clock
        self._saving = BoundedSemaphore(1)

    def start(self, on_failure: Callable[[], None] = _ignore) -> None:
        """Open the engine. `on_failure` is called when it breaks down: what is on disk has to be read again.

        Raises CannotStart.
        """
        self.hub.start(self.engine.open(), self.engine.feed(), on_failure)
        self.examiner.start()

    def stop(self) -> None:
        """Let waiting readers go, finish the writes that were accepted, close the engine."""
        self.hub.release()
        self.engine.close()
        self.hub.stop()
        self.examiner.stop()

    @property
    def revision(self) -> int:
        return self.hub.revision

    def check(self) -> None:
        """Return if a write would be committed. Raises Unavailable."""
        self.hub.check()
        self.engine.commit((), (), Meta())

    def get(self, key: str) -> Item | None:
        """What is there now."""
        return self.engine.get(check_key(key))

    def peek(self, key: str) -> Item | None:
        """What is there, as far as the watchers have been told: see Engine.peek."""
        return self.engine.peek(key)

    def version(self, key: str, revision: int) -> Item:
        """The document written at exactly `revision`. Raises NotFound and Gone."""
        item = self.engine.get(check_key(key), revision)
        if item is None or not item.live:
            raise NotFound(f"there is no document under this key at revision {revision}", key=key)
        return item

    def history(self, key: str, limit: int) -> list[Version]:
        """Newest first. Raises NotFound for a key of which nothing is kept."""
        versions = self.engine.history(check_key(key), limit)
        if not versions:
            raise NotFound("this key has no history", key=key)
        return versions

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        """See Engine.scan."""
        return self.engine.scan(check_prefix(prefix), after, limit)

    def wait(self, topic: str, read: Callable[[], _T], known: Callable[[_T], bool], seconds: float) -> _T:
        """What `read` gives as soon as it is not `known`, or after `seconds`. `topic`: the key or prefix read.

        Raises TooManyWatchers, and what `read` does.
        """
        seen = read()
        if seconds <= 0 or not known(seen) or self.hub.closing:
            return seen
        deadline = time.monotonic() + seconds
        with self.hub.watch(topic) as watcher:
            while known(seen := read()) and not self.hub.closing:
                if not watcher.wait(deadline - time.monotonic()):
                    break
        return seen

    def put(
        self,
        key: str,
        body: bytes,
        conditions: Sequence[Condition],
        meta: Meta,
        *,
        ttl: float | None = None,
    ) -> Result:
        """Replace or create, for good or for `ttl` seconds. Raises BadDocument and what Engine.commit does."""
        check_key(key)
        document.parse(body)
        return self._one(Put(key, body, ttl), conditions, meta)

    def merge(self, key: str, body: bytes, conditions: Sequence[Condition], meta: Meta) -> Result:
        """Apply a merge patch (RFC 7396). Raises BadDocument and what Engine.commit does."""
        return self._one(Merge(check_key(key), document.parse(body)), conditions, meta)

    def patch(self, key: str, body: bytes, conditions: Sequence[Condition], meta: Meta) -> Result:
        """Apply a JSON Patch (RFC 6902). Raises BadDocument, BadPatch and what Engine.commit does."""
        steps = json_patch.parse(document.parse(body))
        return self._one(Patch(check_key(key), steps), conditions, meta)

    def restore(self, key: str, revision: int, conditions: Sequence[Condition], meta: Meta) -> Result:
        """Write the version of `revision` again. Raises NotFound, Gone and what Engine.commit does."""
        item = self.version(key, revision)
        note = meta.note or f"copy of revision {revision}"
        return self._one(Put(key, item.value), conditions, replace(meta, note=note))

    def delete(self, key: str, conditions: Sequence[Condition], meta: Meta) -> Result:
        """Make a deletion the newest version. Raises what Engine.commit does."""
        return self._one(Delete(check_key(key)), conditions, meta)

    def transact(self, wanted: Transaction, meta: Meta) -> Commit:
        """All of it, or nothing. Raises what Engine.commit does; a Conflict says which condition by its `index`."""
        try:
            return self.commit(wanted.conditions, wanted.operations, meta)
        except Conflict as error:
            keys = [condition.key for condition in wanted.conditions]
            error.members["index"] = keys.index(error.members["key"])
            raise

    def backup(self, file: IO[bytes]) -> None:
        """Every kept version of one moment, as `kv.backup` has it; one at a time. Raises Full and Unavailable."""
        with self._saving:
            try:
                backup.write(self.engine.backup(), self.revision, self._clock(), file)
            except OSError as error:
                raise Full(f"there is no room for the backup: {error.strerror}") from error

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        """What Engine.commit does, stamped with the time, and known to every watcher of this server."""
        stamped = Meta(meta.author, meta.note, self._clock())
        commit = self.examiner.examined(lambda: self.engine.commit(conditions, operations, stamped))
        self.hub.until(commit.revision)
        return commit

    def _one(self, operation: Operation, conditions: Sequence[Condition], meta: Meta) -> Result:
        return self.commit(conditions, [operation], meta).results[0]
