"""What a commit comes to: the rules every engine shares, as one pure function over a Draft."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kv import document, json_patch
from kv.engine.base import Limits
from kv.engine.mirror import Draft
from kv.errors import BadRequest, Conflict, Kept, NotFound, TooLarge
from kv.model import (
    NO_ETAG,
    Commit,
    Condition,
    Item,
    Merge,
    Meta,
    Operation,
    Patch,
    Put,
    Result,
    make_item,
)
from kv.schema.rules import check as check_schema

_EXPIRED = Meta(note="its time was up")


def plan(
    draft: Draft, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta, limits: Limits
) -> Commit:
    """The commit that `operations` make, added to `draft`; on any error `draft` is as before.

    Whatever of `draft` it looked at, schemas included, has to be the newest still when the commit happens.
    Raises what Engine.commit does, but Unavailable and Unknown.
    """
    for condition in conditions:
        _check(condition, draft)
    keys = _distinct(operations)
    before = [draft.newest(key) for key in keys]
    revision = draft.revision + 1
    results = tuple(
        _result(operation, old, revision, meta, limits)
        for operation, old in zip(operations, before, strict=True)
    )
    for result in results:
        if result.changed and result.item.live:
            check_schema(draft.newest, result.item.key, result.item.value)
    if any(result.changed for result in results):
        commit = Commit(revision, results, draft.make_room(before.count(None), limits.keys, keys))
    else:
        commit = Commit(draft.revision, results)
    draft.add(commit)
    return commit


def expiry(draft: Draft, keys: Iterable[str]) -> Commit:
    """The commit that ends those of `keys`, whose time is up, that nobody has written since `draft` began."""
    revision = draft.revision + 1
    due = [item for key in keys if not draft.has_written(key) and (item := draft.newest(key))]
    results = tuple(Result(_deletion(item, revision), changed=True) for item in due)
    commit = Commit(revision if results else draft.revision, results)
    draft.add(commit)
    return commit


def _deletion(item: Item, revision: int) -> Item:
    return make_item(item.key, None, item.version.number, revision, _EXPIRED, ttl=item.version.ttl)


def _check(condition: Condition, draft: Draft) -> None:
    newest = draft.newest(condition.key)
    etag = newest.version.etag if newest else NO_ETAG
    if not condition.holds(etag):
        raise Conflict("the key is not in the state the request requires", key=condition.key, etag=etag)


def _distinct(operations: Sequence[Operation]) -> list[str]:
    keys = [operation.key for operation in operations]
    if len(set(keys)) < len(keys):
        raise BadRequest("a commit may name each key once")
    return keys


def _result(operation: Operation, old: Item | None, revision: int, meta: Meta, limits: Limits) -> Result:
    live = old if old is not None and old.live else None
    value = _value(operation, live)
    if value is not None and len(value) > limits.value_bytes:
        raise TooLarge(f"a value may have {limits.value_bytes} bytes", key=operation.key)
    ttl = _ttl(operation, live)
    if live is not None and (value, ttl) == (live.value, live.version.ttl):
        return Result(live, changed=False)
    number = (old.version.number if old else 0) + (ttl is None)
    item = make_item(operation.key, value, number, revision, meta, ttl=ttl)
    return Result(item, changed=True, created=live is None)


def _value(operation: Operation, live: Item | None) -> bytes | None:
    """The bytes to store; None deletes."""
    if isinstance(operation, Put):
        return operation.value
    if live is None:
        raise NotFound("there is nothing under this key", key=operation.key, etag=NO_ETAG)
    if isinstance(operation, Merge):
        return document.rewrite(live.value, lambda value: document.merge(value, operation.patch))
    if isinstance(operation, Patch):
        return document.rewrite(live.value, lambda value: json_patch.apply(value, operation.steps))
    return None


def _ttl(operation: Operation, live: Item | None) -> float | None:
    present = live.version.ttl if live else None
    if not isinstance(operation, Put):
        return present
    if operation.ttl is not None and live is not None and present is None:
        raise Kept("this key is there to stay; one with a ttl has to have another name", key=operation.key)
    return operation.ttl
