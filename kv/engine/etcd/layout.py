"""Where things are in etcd, and what their values look like.

    PREFIX/k/<key>                          the newest kept version of a key, be it a deletion
    PREFIX/h/<key>/<number, 12 digits>      each kept version, the newest included
    PREFIX/t/<key>                          a key with a ttl, on a lease; may stand over a kept deletion

A value is an envelope: a JSON object whose last member holds the document's bytes as they are, so that people can read
it with etcdctl and jq. A deletion has no such member. Revision and ETag follow from etcd's mod_revision. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from kv.engine.etcd.messages import Pair, Span, under
from kv.errors import BadKey
from kv.model import SCHEMAS, Item, Meta, check_key, check_scope, make_item

# Within a JSON string a quote has a backslash before it, never a comma: this cannot be part of another member.
_VALUE = b',"val":'


class Foreign(ValueError):
    """Something under our prefix that we did not write."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A version on its way. `nonce` is the write's own; `value` None is a deletion; `number`, `ttl`: see Version."""

    number: int
    meta: Meta
    nonce: str
    value: bytes | None
    ttl: float | None = None

    def encode(self) -> bytes:
        told = {
            "ver": self.number,
            "ts": self.meta.modified,
            "author": self.meta.author,
            "note": self.meta.note,
            "nonce": self.nonce,
        }
        if self.ttl is not None:
            told["ttl"] = self.ttl
        head = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        return head if self.value is None else head[:-1] + _VALUE + self.value + b"}"

    def item(self, key: str, revision: int) -> Item:
        return make_item(key, self.value, self.number, revision, self.meta, ttl=self.ttl)


def decode(raw: bytes) -> Envelope:
    """Raises Foreign."""
    head, separator, value = raw.partition(_VALUE)
    try:
        told = json.loads(head + b"}" if separator else head)
        meta = Meta(str(told["author"]), str(told["note"]), float(told["ts"]))
        ttl = None if (seconds := told.get("ttl")) is None else float(seconds)
        return Envelope(int(told["ver"]), meta, str(told["nonce"]), value[:-1] if separator else None, ttl)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Foreign("a value that is no envelope of ours") from None


def _checked(name: str) -> str:
    if name.startswith(SCHEMAS):
        return SCHEMAS + check_scope(name.removeprefix(SCHEMAS))
    return check_key(name)


class Layout:
    """`prefix` begins with a slash and ends with none; empty stands for the root."""

    __slots__ = ("_history", "_kept", "_passing", "all", "followed")

    def __init__(self, prefix: str) -> None:
        root = prefix.encode()
        self._kept, self._history, self._passing = root + b"/k/", root + b"/h/", root + b"/t/"
        self.followed = Span(under(self._kept).first, under(self._passing).end)
        """What holds k/ and t/ and, h being before k, no history."""
        self.all = Span(under(self._history).first, self.followed.end)

    def kept(self, key: str) -> bytes:
        return self._kept + key.encode()

    def passing(self, key: str) -> bytes:
        return self._passing + key.encode()

    def version(self, key: str, number: int) -> bytes:
        return self._history + b"%b/%012d" % (key.encode(), number)

    def versions(self, key: str, first: int, last: int) -> Span:
        """May hold versions of keys below this one, whose names go on with a number: see `is_version`."""
        return Span(self.version(key, first), self.version(key, last) + b"\0")

    def is_version(self, key: str, raw: bytes) -> bool:
        return len(raw) == len(self.version(key, 0))

    def spans(self, topic: str) -> tuple[Span, Span]:
        """Where a key, or all that is under a prefix, is: kept and passing."""
        if topic and not topic.endswith("/"):
            return Span(self.kept(topic)), Span(self.passing(topic))
        return under(self.kept(topic)), under(self.passing(topic))

    def name(self, raw: bytes) -> tuple[str, bool]:
        """The key that `raw`, from what is followed, is of, and whether it is kept. Raises Foreign."""
        kept = raw.startswith(self._kept)
        if not kept and not raw.startswith(self._passing):
            raise Foreign("a key that is none of ours")
        try:
            return _checked(raw.removeprefix(self._kept if kept else self._passing).decode()), kept
        except (UnicodeDecodeError, BadKey):
            raise Foreign("a key that is none of ours") from None

    def kept_name(self, raw: bytes) -> str | None:
        """The key that `raw` is of, if it is one of k/."""
        try:
            key, kept = self.name(raw)
        except Foreign:
            return None
        return key if kept else None

    def item(self, pair: Pair) -> Item:
        """What a pair of k/ or t/ says of its key. Raises Foreign."""
        key, kept = self.name(pair.key)
        envelope = decode(pair.value)
        if kept == (envelope.ttl is not None) or (not kept and envelope.value is None):
            raise Foreign("a value in the wrong place")
        return envelope.item(key, pair.revision)
