"""What is stored, what is asked of it and what came of it, as immutable values.

Keys are paths of segments (`canary/config`); a prefix ends with `/` or is empty, a key never does, so one string
names either. Pure: knows no engine, clock or HTTP.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kv.errors import BadKey
from kv.json_patch import Step

NO_ETAG = "0"
"""The ETag of what is not there, so that creation can be awaited and be made a condition."""

SCHEMAS = "§schema/"
"""What the names of schemas in the store begin with: no key can, and it is beyond every list of keys."""

KEY_BYTES = 256
MIN_TTL, MAX_TTL = 1.0, 86_400.0
_SEGMENT = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(rf"(?:{_SEGMENT}/)*")
_GRAMMAR = (
    f"a key is at most {KEY_BYTES} bytes: segments of A-Z a-z 0-9 . _ ~ - "
    "joined by single slashes, none of them '.' or '..'"
)


def check_key(key: str) -> str:
    """`key` itself. Raises BadKey."""
    if len(key) > KEY_BYTES or not _KEY.fullmatch(key):
        raise BadKey(_GRAMMAR, key=key[:KEY_BYTES])
    return key


def check_prefix(prefix: str) -> str:
    """`prefix` itself: whole segments, each with its slash; empty means every key. Raises BadKey."""
    if len(prefix) > KEY_BYTES or not _PREFIX.fullmatch(prefix):
        raise BadKey(_GRAMMAR, key=prefix[:KEY_BYTES])
    return prefix


def check_scope(scope: str) -> str:
    """`scope` itself: a key, or a prefix. Raises BadKey."""
    return check_prefix(scope) if not scope or scope.endswith("/") else check_key(scope)


def covers(scope: str, name: str) -> bool:
    """Whether `scope` is the key or prefix `name` or a prefix of it."""
    return scope == name or (name.startswith(scope) and (not scope or scope.endswith("/")))


def prefixes(key: str) -> Iterator[str]:
    """Every prefix `key` stands under, the empty one first: `a/b` gives ``, `a/`. That is not one of schemas."""
    if not key.startswith(SCHEMAS):
        yield ""
    end = key.find("/")
    while end >= 0:
        yield key[: end + 1]
        end = key.find("/", end + 1)


def etag_of(revision: int, value: bytes) -> str:
    """`<revision>-<first 12 hex of SHA-256>`, without quotes.

    The hash half keeps an ETag safe when an older copy of the store is restored.
    """
    return f"{revision}-{hashlib.sha256(value).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Meta:
    """Who wrote, why, and when (Unix time in seconds)."""

    author: str = ""
    note: str = ""
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a key. `number` counts the key's kept ones from 1, deletions included.

    `ttl`: seconds it lasts unless it is written again. Such a version, and the deletion that ends it, is not kept:
    it has no place in the history, is not counted, and need not survive the process.
    """

    number: int
    revision: int
    etag: str
    size: int
    deleted: bool
    meta: Meta
    ttl: float | None = None

    @property
    def kept(self) -> bool:
        return self.ttl is None


@dataclass(frozen=True, slots=True)
class Item:
    """One version of a key with its bytes. The value of a deletion is empty."""

    key: str
    value: bytes
    version: Version

    @property
    def live(self) -> bool:
        return not self.version.deleted


def make_item(
    key: str, value: bytes | None, number: int, revision: int, meta: Meta, *, ttl: float | None = None
) -> Item:
    """The item whose ETag and size follow from `value`; None is a deletion."""
    if value is None:
        return Item(key, b"", Version(number, revision, NO_ETAG, 0, True, meta, ttl))
    etag = etag_of(revision, value)
    return Item(key, value, Version(number, revision, etag, len(value), False, meta, ttl))


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a key when the commit happens.

    `etags` None stands for `*`: any version that is there. `wanted` False turns the condition round
    (If-None-Match).
    """

    key: str
    etags: frozenset[str] | None
    wanted: bool = True

    def holds(self, etag: str) -> bool:
        """Whether it holds of a key whose current ETag is `etag` (NO_ETAG: it is not there)."""
        met = etag != NO_ETAG if self.etags is None else etag in self.etags
        return met == self.wanted


@dataclass(frozen=True, slots=True)
class Put:
    """Replace the value of `key`, or create it; with a ttl (seconds) for as long only."""

    key: str
    value: bytes
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Apply a merge patch (RFC 7396), given as parsed JSON, to the value of `key`."""

    key: str
    patch: Any


@dataclass(frozen=True, slots=True)
class Patch:
    """Take the steps of a JSON Patch (RFC 6902) from the value of `key`."""

    key: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Make a deletion the newest version of `key`."""

    key: str


Operation = Put | Merge | Patch | Delete


@dataclass(frozen=True, slots=True)
class Result:
    """What one operation came to: the newest version of its key, and whether it is new."""

    item: Item
    changed: bool
    created: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic change of the store: one result an operation, in their order.

    `revision` is the store's after it; a commit that changes nothing has the old one. `forgotten` are keys,
    long deleted, whose histories went to make room.
    """

    revision: int
    results: tuple[Result, ...]
    forgotten: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Item, ...]:
        return tuple(result.item for result in self.results if result.changed)

    @property
    def kept(self) -> tuple[Item, ...]:
        """Those of the changes that the history has to have."""
        return tuple(item for item in self.changes if item.version.kept)


@dataclass(frozen=True, slots=True)
class Reset:
    """The feed may have missed commits up to `revision`: everything may have changed."""

    revision: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The feed is complete up to `revision`."""

    revision: int


Event = Commit | Reset | Progress
