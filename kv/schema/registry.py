"""The schemas of a store: put, read and taken away like documents, by scope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kv.engine.base import Limits
from kv.errors import KvError, NotFound
from kv.model import NO_ETAG, SCHEMAS, Condition, Delete, Item, Meta, Operation, Put, Result, check_scope
from kv.store import Store


class Schemas:
    """`scope`: a key or a prefix (BadKey). What is told of a schema, errors included, has the scope for its key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, scope: str) -> Item:
        """The schema of exactly this scope. Raises NotFound."""
        item = self._store.engine.get(SCHEMAS + check_scope(scope))
        if item is None:
            raise NotFound("there is no schema for exactly this key or prefix", key=scope, etag=NO_ETAG)
        return _told(item)

    def all(self) -> tuple[int, list[Item]]:
        """Every one, by scope; and the newest revision that touched one."""
        revision, items = self._store.engine.scan(SCHEMAS, "", Limits().keys)
        return revision, [_told(item) for item in items]

    def put(self, scope: str, body: bytes, conditions: Sequence[Condition], meta: Meta) -> Result:
        """From now on it governs `scope`. Raises BadDocument, TooLarge, BadSchema and what Engine.commit does."""
        check_scope(scope)
        self._store.examiner.check_schema(body)
        return self._commit(scope, Put(SCHEMAS + scope, body), conditions, meta)

    def delete(self, scope: str, conditions: Sequence[Condition], meta: Meta) -> Result:
        """Raises what Engine.commit does."""
        return self._commit(scope, Delete(SCHEMAS + check_scope(scope)), conditions, meta)

    def _commit(
        self, scope: str, operation: Operation, conditions: Sequence[Condition], meta: Meta
    ) -> Result:
        stored = [replace(condition, key=SCHEMAS + condition.key) for condition in conditions]
        with _about(scope):
            result = self._store.commit(stored, [operation], meta).results[0]
        return replace(result, item=_told(result.item))


def _told(item: Item) -> Item:
    return replace(item, key=item.key.removeprefix(SCHEMAS))


@contextmanager
def _about(scope: str) -> Iterator[None]:
    try:
        yield
    except KvError as error:
        if "key" in error.members:
            error.members["key"] = scope
        raise
