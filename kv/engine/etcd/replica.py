"""What etcd holds under our prefix, as far as this process has heard: the mirror, and which revisions made it.

Written to by the follower alone. Asks etcd nothing, publishes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from gevent.event import Event as Flag

from kv.engine.etcd.layout import Foreign, Layout
from kv.engine.etcd.messages import Change, Newest, Pair, Span
from kv.engine.mirror import Mirror
from kv.model import Commit, Item, Meta, Result, make_item

log = logging.getLogger(__name__)


class Missed(Exception):
    """A change that was not one of this program: everything has to be read again."""


class Replica:
    """`mirror` is replaced as a whole by `load`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._revisions: dict[bytes, int] = {}
        self._leases: dict[bytes, int] = {}
        self._awaited: dict[int, Flag] = {}
        self.mirror = Mirror()

    @property
    def revision(self) -> int:
        return self.mirror.revision

    def revision_of(self, raw: bytes) -> int:
        """When this key of etcd's was last put; 0: it is not there."""
        return self._revisions.get(raw, 0)

    def lease_of(self, raw: bytes) -> int:
        return self._leases.get(raw, 0)

    def kept(self) -> list[Item]:
        """Of every key that has a history the newest version, be it one on top of it, by key."""
        names = sorted(name for raw in self._revisions if (name := self._layout.kept_name(raw)))
        return [item for name in names if (item := self.mirror.newest(name))]

    def newest(self, span: Span) -> Newest:
        """As etcd would answer `look_for_newest`."""
        if not span.end:
            revision = self.revision_of(span.first)
            return Newest(revision, int(revision > 0))
        revisions = [revision for raw, revision in self._revisions.items() if raw in span]
        return Newest(max(revisions, default=0), len(revisions))

    def load(self, pairs: Iterable[Pair], revision: int) -> None:
        """Begin anew with all that is followed, as of `revision`."""
        self._revisions, self._leases = {}, {}
        items: dict[bool, list[Item]] = {True: [], False: []}
        for pair in pairs:
            self._note(pair)
            try:
                item = self._layout.item(pair)
            except Foreign as error:
                log.warning("%r in etcd is left out: %s", pair.key, error)
            else:
                items[item.version.kept].append(item)
        self.mirror = Mirror(items[True], revision)
        self.mirror.apply(_commit(revision, items[False]))
        self._announce(max(self._awaited, default=0))

    def apply(self, revision: int, changes: Sequence[Change]) -> Commit:
        """What the changes of one revision come to. Raises Missed."""
        put: dict[str, Item] = {}
        gone: dict[bool, list[str]] = {True: [], False: []}
        try:
            for change in changes:
                key, kept = self._layout.name(change.pair.key)
                self._note(change.pair, deleted=change.deleted)
                if change.deleted:
                    gone[kept].append(key)
                else:
                    put[key] = self._layout.item(change.pair)
        except Foreign as error:
            raise Missed(str(error)) from error
        ended = [item for key in gone[False] if key not in put and (item := self._end(key, revision))]
        commit = _commit(revision, [*put.values(), *ended], self._forgotten(gone[True]))
        self.mirror.apply(commit)
        self._announce(revision)
        return commit

    def reach(self, revision: int, seconds: float) -> bool:
        """Whether `revision` is here, waiting at most `seconds` for it."""
        until = time.monotonic() + seconds
        while self.revision < revision:
            if not self._awaited.setdefault(revision, Flag()).wait(max(until - time.monotonic(), 0.0)):
                return False
        return True

    def _announce(self, revision: int) -> None:
        for due in [due for due in self._awaited if due <= revision]:
            self._awaited.pop(due).set()

    def _note(self, pair: Pair, *, deleted: bool = False) -> None:
        self._revisions.pop(pair.key, None)
        self._leases.pop(pair.key, None)
        if not deleted:
            self._revisions[pair.key] = pair.revision
            if pair.lease:
                self._leases[pair.key] = pair.lease

    def _end(self, key: str, revision: int) -> Item | None:
        """The deletion of a key with a ttl."""
        item = self.mirror.newest(key)
        if item is None or item.version.kept:
            return None
        return make_item(key, None, item.version.number, revision, Meta(), ttl=item.version.ttl)

    def _forgotten(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Only what was deleted long ago is ever taken out of etcd."""
        known = tuple(key for key in keys if self.mirror.newest(key))
        if not all(key in self.mirror.deleted for key in known):
            raise Missed("a key that was not deleted before is gone")
        return known


def _commit(revision: int, items: Iterable[Item], forgotten: tuple[str, ...] = ()) -> Commit:
    return Commit(revision, tuple(Result(item, changed=True) for item in items), forgotten)
