"""The versions of a key that are kept, which etcd has and the mirror has not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kv.engine.base import Limits
from kv.engine.etcd.gateway import RANGE, TXN, Gateway
from kv.engine.etcd.layout import Foreign, Layout, decode
from kv.engine.etcd.messages import Message, Span, ask, look, pairs, ranges, transaction
from kv.errors import Gone
from kv.model import Item, Version

PAGE_BYTES = 1024 * 1024


class Past:
    """Raises Unavailable all over."""

    def __init__(self, gateway: Gateway, layout: Layout, limits: Limits) -> None:
        self._gateway = gateway
        self._layout = layout
        self._limits = limits

    def version_at(self, key: str, newest: int, revision: int) -> Item | None:
        """What was written at exactly `revision`. `newest` is the number of the last version. Raises Gone."""
        first = max(newest - self._limits.versions + 1, 1)
        written = look(self._layout.versions(key, first, newest), written_at=revision)
        oldest = look(Span(self._layout.version(key, first)))
        then, before = ranges(self._gateway.read(TXN, transaction((), [ask(written), ask(oldest)])))
        for item in items(self._layout, key, then):
            return item
        if first > 1 and all(revision < item.version.revision for item in items(self._layout, key, before)):
            raise Gone("this version is no longer kept", key=key)
        return None

    def history(self, key: str, newest: Version, limit: int) -> list[Version]:
        """Newest first, in pages that are small enough to be read at a stroke."""
        found: list[Version] = []
        last, size = newest.number, newest.size
        oldest = max(last - min(limit, self._limits.versions) + 1, 1)
        while last >= oldest:
            first = max(oldest, last - PAGE_BYTES // (size + 1))
            page = self._gateway.read(RANGE, look(self._layout.versions(key, first, last)))
            versions = [item.version for item in items(self._layout, key, page)]
            found += reversed(versions)
            size = max((version.size for version in versions), default=0)
            last = first - 1
        return found


def items(layout: Layout, key: str, answer: Message) -> Iterator[Item]:
    """The versions of `key` in a RangeResponse, oldest first."""
    for pair in pairs(answer):
        with suppress(Foreign):
            if layout.is_version(key, pair.key):
                yield decode(pair.value).item(key, pair.revision)
