"""A watch as server-sent events (HTML Standard, 9.2): what is there, and from then on whatever else comes to be.

Level-triggered: an event carries the present state of a key, so a slow reader gets the newest one and no backlog.
Knows the store and the format, not HTTP.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Protocol

import gevent

from kv.errors import KvError
from kv.model import NO_ETAG, Item
from kv.store import Store

log = logging.getLogger(__name__)

RETRY = b"retry: 1000\n\n"
BLOCK = 32 * 1024
EVERY = 2**31 - 1
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: the most between two signs of life, and the shortest and the longest life of a stream."""

    heartbeat: float = 10.0
    shortest: float = 600.0
    longest: float = 900.0


class News(Protocol):
    """What there is to tell about a key or a prefix, as events."""

    topic: str

    def first(self) -> Iterable[bytes]:
        """What the client does not have yet. Raises what the engine does."""

    def since(self, revision: int) -> Iterable[bytes]:
        """What is new, the first change of it being that of `revision`. Raises what the engine does."""


class KeyNews:
    """Of one key. `known`: the ETag of what the client has, None if nothing."""

    def __init__(self, store: Store, key: str, known: str | None) -> None:
        self.topic = key
        self._store = store
        self._hub = store.hub
        self._known = known

    def first(self) -> Iterable[bytes]:
        return self._told(self._store.get(self.topic))

    def since(self, revision: int) -> Iterable[bytes]:
        # What the journal does not reach back to, the engine may not know either, and then says so.
        complete = revision > self._hub.journal.floor
        return self._told(self._store.peek(self.topic)) if complete else self.first()

    def _told(self, item: Item | None) -> Iterable[bytes]:
        etag = item.version.etag if item else NO_ETAG
        if etag == self._known:
            return ()
        self._known = etag
        return (_put(item.value, etag) if item else event("delete", b"null", etag),)


class PrefixNews:
    """Of all keys under a prefix. `known`: the id of the last event that the client has, None if none.

    An id stands for "everything up to this revision", so it comes with the last event of a batch.
    """

    def __init__(self, store: Store, prefix: str, known: str | None) -> None:
        self.topic = prefix
        self._store = store
        self._hub = store.hub
        self._known = known

    def first(self) -> Iterable[bytes]:
        revision, _, epoch = (self._known or "").partition("-")
        if epoch != self._hub.epoch or not re.fullmatch(r"[0-9]{1,18}", revision):
            return self._everything()
        return self._after(int(revision)) if int(revision) <= self._hub.revision else self._everything()

    def since(self, revision: int) -> Iterable[bytes]:
        return self._after(revision - 1)

    def _after(self, revision: int) -> Iterable[bytes]:
        changed = self._hub.journal.after(revision, self.topic)
        return self._everything() if changed is None else self._changes(changed, self._here())

    def _changes(self, changed: dict[str, int], here: str) -> Iterator[bytes]:
        last = len(changed)
        for number, (key, revision) in enumerate(changed.items(), 1):
            item = self._store.peek(key)
            identity = here if number == last else None
            yield _present(item, identity) if item else _absent(key, revision, identity)

    def _everything(self) -> Iterable[bytes]:
        here, revision = self._here(), b'{"revision": %d}' % self._hub.revision
        _, items = self._store.scan(self.topic, "", EVERY)
        return chain(
            [event("reset", revision)],
            (_present(item) for item in items),
            [event("sync", revision, here)],
        )

    def _here(self) -> str:
        return f"{self._hub.revision}-{self._hub.epoch}"


class Stream:
    """One client's stream, to be sent piece by piece as it comes; `close` once it has ended, however it did.

    It ends before its time when it is no longer `allowed`. Raises TooManyWatchers, and what the engine does.
    """

    def __init__(
        self,
        store: Store,
        news: News,
        pace: Pace,
        chance: random.Random,
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._hub = store.hub
        self._allowed = allowed
        self._news = news
        self._heartbeat = pace.heartbeat
        self._chance = chance
        self._seconds = chance.uniform(pace.shortest, pace.longest)
        with ExitStack() as opening:
            self._watcher = opening.enter_context(self._hub.watch(news.topic))
            self._first = news.first()
            self._opened = opening.pop_all()

    def __iter__(self) -> Iterator[bytes]:
        end = time.monotonic() + self._seconds
        yield from _blocks(chain([RETRY], self._first))
        try:
            yield from self._follow(end)
        except KvError as error:
            log.warning("a stream of %r ends: %s", self._news.topic, error)

    def _follow(self, end: float) -> Iterator[bytes]:
        while not self._hub.closing and (left := end - time.monotonic()) > 0:
            # All who were told of one change must not give their next sign of life at once too.
            woken = self._watcher.wait(min(left, self._heartbeat * self._chance.uniform(0.5, 1.0)))
            if not self._allowed():
                return
            if woken:
                yield from _blocks(self._news.since(self._watcher.since))
            else:
                yield b": %d\n\n" % self._hub.revision

    def close(self) -> None:
        self._opened.close()


def event(kind: str, data: bytes, identity: str | None = None) -> bytes:
    """One event. A line of `data` is a line of the event: whoever reads it has them joined by line feeds again."""
    lines = [f"id: {identity}".encode()] if identity is not None else []
    lines.append(f"event: {kind}".encode())
    lines += [b"data: " + line for line in _LINE_END.split(data)]
    return b"\n".join([*lines, b"", b""])


# A change is the same event for all who watch. Texts and bytes, unlike an Item, know their own hash.


@lru_cache(maxsize=8)
def _put(value: bytes, etag: str) -> bytes:
    return event("put", value, etag)


@lru_cache(maxsize=8)
def _listed(key: str, value: bytes, etag: str, revision: int, identity: str | None) -> bytes:
    head = json.dumps({"key": key, "revision": revision, "etag": etag})[:-1].encode()
    return event("put", head + b', "value": ' + value.strip() + b"}", identity)


def _present(item: Item, identity: str | None = None) -> bytes:
    return _listed(item.key, item.value, item.version.etag, item.version.revision, identity)


def _absent(key: str, revision: int, identity: str | None) -> bytes:
    told = {"key": key, "revision": revision, "etag": NO_ETAG, "value": None}
    return event("delete", json.dumps(told).encode(), identity)


def _blocks(events: Iterable[bytes]) -> Iterator[bytes]:
    """Joined, to be sent together; others have their turn between two blocks."""
    block = bytearray()
    for each in events:
        block += each
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
            gevent.sleep(0)
    if block:
        yield bytes(block)
