"""The newest version of every key, in memory: where reads are answered and writes are weighed.

A Mirror holds what is durable, a Draft the writes not yet so on top of it. Neither switches greenlets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator

from kv.errors import Full
from kv.model import Commit, Item, prefixes

PREFIXES = 10_000


class Mirror:
    """Knows kept deletions too: they carry the key's count of versions on."""

    __slots__ = ("_beneath", "_deleted", "_items", "_keys", "_left", "revision")

    def __init__(self, items: Iterable[Item] = (), revision: int = 0) -> None:
        """`items`: the newest kept version of each key. `revision`: the store's, if it is beyond theirs."""
        ordered = sorted(items, key=lambda item: item.version.revision)
        self._items = {item.key: item for item in ordered}
        self._keys = sorted(self._items)
        self._deleted = dict.fromkeys(item.key for item in ordered if not item.live)
        self._beneath: dict[str, Item] = {}  # the kept deletions of keys that are there with a ttl
        self._left = _Left()
        self.revision = max(revision, ordered[-1].version.revision if ordered else 0)

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
        newest = max((self._items[key].version.revision for key in self._keys[first:last]), default=0)
        start = max(first, bisect_right(self._keys, after)) if after else first
        found: list[Item] = []
        for key in self._keys[start:last]:
            if len(found) == limit:
                break
            if self._items[key].live:
                found.append(self._items[key])
        return max(newest, self._left.newest(prefix)), found

    def apply(self, commit: Commit) -> None:
        for key in commit.forgotten:
            self._remove(key, commit.revision)
        for item in commit.changes:
            if item.live or item.version.kept:
                self._put(item)
            else:
                self._end(item)
        self.revision = commit.revision

    def _put(self, item: Item) -> None:
        if item.key not in self._items:
            insort(self._keys, item.key)
        if not item.version.kept and item.key in self._deleted:
            self._beneath[item.key] = self._items[item.key]
        elif item.version.kept:
            self._beneath.pop(item.key, None)
        self._items[item.key] = item
        self._deleted.pop(item.key, None)
        if not item.live:
            self._deleted[item.key] = None

    def _end(self, deletion: Item) -> None:
        """A key with a ttl goes; what was kept under its name shows again."""
        beneath = self._beneath.pop(deletion.key, None)
        self._left.add(deletion.key, deletion.version.revision)
        if beneath:
            self._items[deletion.key], self._deleted[deletion.key] = beneath, None
        else:
            self._remove(deletion.key, deletion.version.revision)

    def _remove(self, key: str, revision: int) -> None:
        self._left.add(key, revision)
        self._deleted.pop(key, None)
        del self._items[key]
        del self._keys[bisect_left(self._keys, key)]


class _Left:
    """When something last left each prefix without a trace, lest its revision fall behind.

    Of more than PREFIXES it remembers only that it was no later than now.
    """

    __slots__ = ("_floor", "_revisions")

    def __init__(self) -> None:
        self._revisions: dict[str, int] = {}
        self._floor = 0

    def add(self, key: str, revision: int) -> None:
        if len(self._revisions) > PREFIXES:
            self._revisions, self._floor = {}, revision
        self._revisions.update(dict.fromkeys(prefixes(key), revision))

    def newest(self, prefix: str) -> int:
        return self._revisions.get(prefix, self._floor)


class Draft:
    """Writes on their way to the disk, as the next one in the same batch sees them."""

    __slots__ = ("_forgotten", "_items", "_mirror", "_new", "_written", "revision")

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._items: dict[str, Item] = {}
        self._forgotten: set[str] = set()
        self._written: set[str] = set()
        self._new = 0
        self.revision = mirror.revision

    def newest(self, key: str) -> Item | None:
        """The newest version, be it a deletion or not yet durable."""
        if key in self._items:
            return self._items[key]
        return None if key in self._forgotten else self._mirror.newest(key)

    def has_written(self, key: str) -> bool:
        """Whether a commit of this draft named it, be it with what was there."""
        return key in self._written

    def make_room(self, new: int, limit: int, spared: Collection[str]) -> tuple[str, ...]:
        """The deleted keys to forget so that `new` ones fit into `limit`. Raises Full."""
        excess = len(self._mirror) + self._new + new - limit
        if excess <= 0 or not new:
            return ()
        candidates = [key for key in self._deleted() if key not in spared][:excess]
        if len(candidates) < excess:
            raise Full(f"the store holds {limit} keys and takes no more")
        return tuple(candidates)

    def _deleted(self) -> Iterator[str]:
        """Those that the next commit may forget, the longest deleted first."""
        for key in self._mirror.deleted:
            if key not in self._forgotten and key not in self._items:
                yield key
        for key, item in self._items.items():
            if not item.live and item.version.kept:
                yield key

    def add(self, commit: Commit) -> None:
        self._new -= len(commit.forgotten)
        self._forgotten.update(commit.forgotten)
        for key in commit.forgotten:
            self._items.pop(key, None)
        self._written.update(result.item.key for result in commit.results)
        for item in commit.changes:
            self._new += self.newest(item.key) is None
            self._items.pop(item.key, None)  # the last written stands last
            self._items[item.key] = item
        self.revision = commit.revision
