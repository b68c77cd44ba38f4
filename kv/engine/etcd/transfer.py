"""All that is kept, out of etcd and into it: for backups, and for moving between engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from kv.engine.base import Limits
from kv.engine.etcd.gateway import TXN, Compacted, Gateway
from kv.engine.etcd.layout import Envelope, Layout
from kv.engine.etcd.messages import ask, delete, look, put, ranges, transaction, unchanged
from kv.engine.etcd.past import PAGE_BYTES, items
from kv.errors import Full, Unavailable
from kv.model import Item, Version

_WINDOWS = 64
_VALUES = 512 * 1024
"""Bytes of values in one transaction, each of them there twice."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Some versions of a key in a row; `size` is about what they have in bytes."""

    key: str
    first: int
    last: int
    size: int


class Transfer:
    """Neither reads nor writes keys with a ttl."""

    def __init__(self, gateway: Gateway, layout: Layout, limits: Limits) -> None:
        self._gateway = gateway
        self._layout = layout
        self._limits = limits

    def read(self, newest: Iterable[Item], revision: int) -> Iterator[Item]:
        """All kept versions as of `revision`, by key and age; `newest` has each key's last, by key.

        Raises Unavailable.
        """
        for page in _pages(window for item in newest for window in self._windows(item.key, item.version)):
            spans = [self._layout.versions(each.key, each.first, each.last) for each in page]
            asked = transaction((), [ask(look(span, at=revision)) for span in spans])
            try:
                answers = ranges(self._gateway.read(TXN, asked))
            except Compacted:
                raise Unavailable("etcd was compacted meanwhile; try again") from None
            for window, answer in zip(page, answers, strict=True):
                yield from items(self._layout, window.key, answer)

    def _windows(self, key: str, newest: Version) -> Iterator[_Window]:
        step = max(PAGE_BYTES // (newest.size + 1), 1)
        oldest = max(newest.number - self._limits.versions + 1, 1)
        for first in range(oldest, newest.number + 1, step):
            last = min(first + step - 1, newest.number)
            yield _Window(key, first, last, (last - first + 1) * newest.size)

    def write(self, versions: Iterable[Item]) -> None:
        """`versions` in place of everything, in the order of their revisions. Not at a stroke.

        Raises Full, Unavailable, Unknown, and what `versions` do, these before anything has changed.
        """
        ordered = sorted(versions, key=lambda item: item.version.revision)
        last = {item.key: item.version.number for item in ordered}
        if len(last) > self._limits.keys:
            raise Full(f"the store holds {self._limits.keys} keys and takes no more")
        self._gateway.write(TXN, transaction((), [delete(self._layout.all)]))
        for _, commit in groupby(ordered, key=lambda item: item.version.revision):
            for part in _parts(commit):
                self._write(part, last)

    def _write(self, part: Sequence[Item], last: dict[str, int]) -> None:
        conditions, operations = [], []
        for item in part:
            version = item.version
            place = self._layout.version(item.key, version.number)
            raw = Envelope(version.number, version.meta, "", item.value if item.live else None).encode()
            conditions.append(unchanged(place, 0))
            operations.append(put(place, raw))
            if version.number == last[item.key]:
                operations.append(put(self._layout.kept(item.key), raw))
        reply = self._gateway.write(TXN, transaction(conditions, operations))
        if not reply.message.get("succeeded") and not reply.doubtful:
            raise Unavailable("somebody else writes to this store")


def _pages(windows: Iterable[_Window]) -> Iterator[list[_Window]]:
    page: list[_Window] = []
    for window in windows:
        if len(page) == _WINDOWS or (page and sum(each.size for each in page) + window.size > PAGE_BYTES):
            yield page
            page = []
        page.append(window)
    if page:
        yield page


def _parts(commit: Iterable[Item]) -> Iterator[list[Item]]:
    """As much of a commit as fits into a transaction."""
    part: list[Item] = []
    for item in commit:
        if len(part) == _WINDOWS or (
            part and sum(len(each.value) for each in part) + len(item.value) > _VALUES
        ):
            yield part
            part = []
        part.append(item)
    yield part
