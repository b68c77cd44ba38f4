"""A JSON Schema ready to judge documents. Formats are annotations, as in the standard: they judge nothing."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from functools import lru_cache
from itertools import islice
from typing import Any

from referencing import Registry

from kv.schema.keywords import DIALECTS, Exhausted, allowed, split
from kv.schema.wording import MOST_FAULTS, Fault, faults_of

_REMEMBERED = 64


class Compiled:
    """`raw` as `fitness.check` has passed it. Remembers its last verdicts, by content."""

    def __init__(self, raw: bytes) -> None:
        dialect, schema = split(json.loads(raw))
        self._validator = DIALECTS[dialect].bounded(schema, registry=Registry())
        self._verdicts: OrderedDict[bytes, tuple[Fault, ...]] = OrderedDict()

    def known(self, value: bytes) -> tuple[Fault, ...] | None:
        """The verdict on a document, if it was found lately."""
        return self._verdicts.get(hashlib.sha256(value).digest())

    def remember(self, value: bytes, faults: tuple[Fault, ...]) -> None:
        self._verdicts[hashlib.sha256(value).digest()] = faults
        if len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)

    def judge(self, value: bytes, steps: int) -> tuple[Fault, ...]:
        """The first MOST_FAULTS faults of a document. Raises Exhausted when `steps` do not suffice."""
        try:
            with allowed(steps):
                errors = self._validator.iter_errors(_terse(json.loads(value)))
                return tuple(islice(faults_of(errors), MOST_FAULTS))
        except RecursionError:
            raise Exhausted from None


@lru_cache(maxsize=64)
def compiled(raw: bytes) -> Compiled:
    """The same one for the same bytes, so that its verdicts are found again."""
    return Compiled(raw)


class _Object(dict[str, Any]):
    """jsonschema writes all that it judges into each of its errors, half a megabyte maybe; here nobody reads it."""

    def __repr__(self) -> str:
        return "{…}"


class _List(list[Any]):
    def __repr__(self) -> str:
        return "[…]"


def _terse(value: Any) -> Any:
    if isinstance(value, dict):
        return _Object((name, _terse(member)) for name, member in value.items())
    return _List(map(_terse, value)) if isinstance(value, list) else value
