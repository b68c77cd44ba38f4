"""Which schema governs a key, and whether what is to be written there satisfies it. Part of what a commit comes to.

Schemas stand in the store beside the documents, each under SCHEMAS and its scope: a key, or a prefix of keys. So
one and the same commit sees the newest schema and the newest document, and no write slips in between.
"""

from __future__ import annotations

from collections.abc import Callable

from kv.errors import InvalidDocument
from kv.model import SCHEMAS, Item, prefixes
from kv.schema.compiled import Compiled, compiled
from kv.schema.keywords import Exhausted
from kv.schema.wording import Fault

INLINE_BYTES = 16 * 1024
_INLINE_STEPS = 2_000


class Unexamined(Exception):
    """A verdict that would take too long here. It is to be found elsewhere and remembered; then try again."""

    def __init__(self, schema: Compiled, value: bytes) -> None:
        super().__init__("this document has to be examined first")
        self.schema = schema
        self.value = value


def governing(newest: Callable[[str], Item | None], key: str) -> Item | None:
    """The schema for exactly this key, else that of the longest prefix that has one."""
    for scope in (key, *reversed([*prefixes(key)])):
        item = newest(SCHEMAS + scope)
        if item is not None and item.live:
            return item
    return None


def check(newest: Callable[[str], Item | None], key: str, value: bytes) -> None:
    """Raises InvalidDocument, or Unexamined. `newest` is asked for the newest version of a key."""
    item = governing(newest, key)
    if item is None:
        return
    faults = _verdict(compiled(item.value), value)
    if faults:
        scope = item.key.removeprefix(SCHEMAS)
        raise InvalidDocument(
            f"the document does not satisfy the schema of {scope or 'all keys'}: {_summary(faults)}",
            key=key,
            schema=scope,
            errors=[fault.told() for fault in faults],
        )


def _verdict(schema: Compiled, value: bytes) -> tuple[Fault, ...]:
    faults = schema.known(value)
    if faults is not None:
        return faults
    if len(value) > INLINE_BYTES:
        raise Unexamined(schema, value)
    try:
        return schema.judge(value, _INLINE_STEPS)
    except Exhausted:
        raise Unexamined(schema, value) from None


def _summary(faults: tuple[Fault, ...]) -> str:
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"
