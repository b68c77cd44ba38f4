"""The newest version of every key, in memory: where reads are answered and writes are weighed.

A Mirror holds what is durable, a Draft the writes not yet so on top of it. Neither switches greenlets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable

from kv.errors import Full
from kv.model import Commit, Item


class Mirror:
    """Knows deletions too: they carry the key's count of versions on."""

    __slots__ = ("_deleted", "_items", "_keys", "revision")

    def __init__(self, items: Iterable[Item] = ()) -> None:
        """`items`: the newest version of each key."""
        ordered = sorted(items, key=lambda item: item.version.revision)
        self._items = {item.key: item for item in ordered}
        self._keys = sorted(self._items)
        self._deleted = dict.fromkeys(item.key for item in ordered if not item.live)
        self.revision = ordered[-1].version.revision if ordered else 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def deleted(self) -> Collection[str]:
        """Deleted keys, the longest deleted first."""
        return self._deleted.keys()

    def newest(self, key: str) -> Item | None:
        """The newest version, be it a deletion."""
        return self._items.get(key)

    def get(self, key: str) -> Item | None:
        item = self._items.get(key)
        return item if item is not None and item.live else None

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        """See Engine.scan."""
        first = bisect_left(self._keys, prefix)
        last = bisect_left(self._keys, prefix + "\x7f", first)
        revision = max((self._items[key].version.revision for key in self._keys[first:last]), default=0)
        start = max(first, bisect_right(self._keys, after)) if after else first
        found: list[Item] = []
        for key in self._keys[start:last]:
            if len(found) == limit:
                break
            if self._items[key].live:
                found.append(self._items[key])
        return revision, found

    def apply(self, commit: Commit) -> None:
        for key in commit.forgotten:
            self._forget(key)
        for item in commit.changes:
            if item.key not in self._items:
                insort(self._keys, item.key)
            self._items[item.key] = item
            self._deleted.pop(item.key, None)
            if not item.live:
                self._deleted[item.key] = None
        self.revision = commit.revision

    def _forget(self, key: str) -> None:
        del self._items[key], self._deleted[key]
        del self._keys[bisect_left(self._keys, key)]


class Draft:
    """Writes on their way to the disk, as the next one in the same batch sees them."""

    __slots__ = ("_forgotten", "_items", "_mirror", "_new", "revision")

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._items: dict[str, Item] = {}
        self._forgotten: set[str] = set()
        self._new = 0
        self.revision = mirror.revision

    def newest(self, key: str) -> Item | None:
        """The newest version, be it a deletion or not yet durable."""
        if key in self._items:
            return self._items[key]
        return None if key in self._forgotten else self._mirror.newest(key)

    def make_room(self, new: int, limit: int, spared: Collection[str]) -> tuple[str, ...]:
        """The deleted keys to forget so that `new` ones fit into `limit`. Raises Full."""
        excess = len(self._mirror) + self._new - len(self._forgotten) + new - limit
        if excess <= 0 or not new:
            return ()
        taken = self._forgotten.union(self._items, spared)
        candidates = [key for key in self._mirror.deleted if key not in taken][:excess]
        if len(candidates) < excess:
            raise Full(f"the store holds {limit} keys and takes no more")
        return tuple(candidates)

    def add(self, commit: Commit) -> None:
        self._forgotten.update(commit.forgotten)
        for item in commit.changes:
            self._new += self.newest(item.key) is None
            self._items[item.key] = item
        self.revision = commit.revision
