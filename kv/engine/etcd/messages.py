"""etcd's messages as its JSON gateway writes them: base64 for bytes, text for int64, zero fields left out.

Pure: values in, values out. The names are those of etcd's rpc.proto.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The keys from `first` on and below `end`; without an `end` the one key."""

    first: bytes
    end: bytes = b""

    def fields(self) -> dict[str, str]:
        told = {"key": _text(self.first)}
        return told | {"range_end": _text(self.end)} if self.end else told

    def __contains__(self, key: bytes) -> bool:
        return self.first <= key < self.end if self.end else key == self.first


def under(prefix: bytes) -> Span:
    """Every key that begins with `prefix`, whose last byte is not 255."""
    return Span(prefix, prefix[:-1] + bytes([prefix[-1] + 1]))


@dataclass(frozen=True, slots=True)
class Pair:
    """A key with its value. `revision`: when it was last put; `lease`: what it goes with, 0 for nothing."""

    key: bytes
    value: bytes
    revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch; the value of a deletion is empty, its revision that of the deletion."""

    pair: Pair
    deleted: bool


@dataclass(frozen=True, slots=True)
class Newest:
    """What tells two states of a span apart: its newest revision, and how many keys there are."""

    revision: int = 0
    count: int = 0


# Requests


def look(span: Span, *, limit: int = 0, at: int = 0, written_at: int = 0) -> dict[str, Any]:
    """A RangeRequest, linearizable. `at`: as of this revision; `written_at`: only keys put at this one."""
    fields: dict[str, Any] = span.fields()
    if limit:
        fields["limit"] = str(limit)
    if at:
        fields["revision"] = str(at)
    if written_at:
        fields |= {"min_mod_revision": str(written_at), "max_mod_revision": str(written_at)}
    return fields


def look_for_newest(span: Span) -> dict[str, Any]:
    """A RangeRequest whose answer `newest` reads."""
    fields: dict[str, Any] = span.fields() | {"keys_only": True}
    if span.end:
        fields |= {"sort_target": "MOD", "sort_order": "DESCEND", "limit": "1"}
    return fields


def put(key: bytes, value: bytes, lease: int = 0) -> dict[str, Any]:
    """An operation of a transaction."""
    fields: dict[str, Any] = {"key": _text(key), "value": _text(value)}
    return {"request_put": fields | {"lease": str(lease)} if lease else fields}


def delete(span: Span) -> dict[str, Any]:
    """An operation of a transaction; no fault when nothing is there."""
    return {"request_delete_range": span.fields()}


def ask(request: Message) -> dict[str, Any]:
    """A RangeRequest as an operation of a transaction."""
    return {"request_range": request}


def unchanged(key: bytes, revision: int) -> dict[str, Any]:
    """A condition of a transaction: `key` was last put at `revision`; 0: it is not there."""
    return {"key": _text(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}


def none_since(span: Span, revision: int) -> dict[str, Any]:
    """A condition of a transaction: no key that is in `span` was put after `revision`."""
    return span.fields() | {"target": "MOD", "result": "LESS", "mod_revision": str(revision + 1)}


def transaction(
    conditions: Sequence[Message], operations: Sequence[Message], otherwise: Sequence[Message] = ()
) -> dict[str, Any]:
    """A TxnRequest."""
    return {"compare": conditions, "success": operations, "failure": otherwise}


def watch(span: Span, start: int) -> dict[str, Any]:
    """A WatchRequest for every change from revision `start` on, large messages in fragments."""
    return {"create_request": span.fields() | {"start_revision": str(start), "fragment": True}}


# Answers


def number(message: Message, name: str) -> int:
    """An int64 field."""
    return int(message.get(name, 0))


def revision(answer: Message) -> int:
    """The store's, when the answer was made."""
    return number(answer.get("header", {}), "revision")


def pairs(answer: Message) -> list[Pair]:
    """What a RangeResponse holds."""
    return [_pair(fields) for fields in answer.get("kvs", ())]


def newest(answer: Message) -> Newest:
    """Of the answer to `look_for_newest`."""
    found = answer.get("kvs")
    return Newest(number(found[0], "mod_revision") if found else 0, number(answer, "count"))


def ranges(answer: Message) -> list[Message]:
    """The RangeResponses of a TxnResponse all of whose operations were `ask`."""
    return [response["response_range"] for response in answer.get("responses", ())]


def changes(result: Message) -> Iterator[Change]:
    """What a WatchResponse tells, oldest first."""
    for event in result.get("events", ()):
        yield Change(_pair(event["kv"]), event.get("type") == "DELETE")


def size(operations: Iterable[Message]) -> int:
    """About the bytes that puts have on etcd's side, where a request may have 1.5 MiB."""
    puts = [operation["request_put"] for operation in operations if "request_put" in operation]
    return sum(_SMALL + (len(fields["key"]) + len(fields["value"])) * 3 // 4 for fields in puts)


_SMALL = 64  # lengths, tags and a lease of one operation, rounded up


def _pair(fields: Message) -> Pair:
    return Pair(
        b64decode(fields["key"]),
        b64decode(fields.get("value", "")),
        number(fields, "mod_revision"),
        number(fields, "lease"),
    )


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
