"""Several writes as one, as they stand in a request's body: `{"if": [condition…], "do": [operation…]}`.

What a condition and an operation may look like is in the two tables below. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kv import document
from kv.errors import BadKey, BadRequest
from kv.model import MAX_TTL, MIN_TTL, Condition, Delete, Merge, Operation, Put, check_key

MOST = 32
_MAX_FAULTS = 10

_Part = TypeVar("_Part", Condition, Operation)
_Shapes = Mapping[tuple[str, ...], Callable[..., _Part]]
_Faults = list[dict[str, str]]

_CONDITIONS: _Shapes[Condition] = {
    ("key", "etag"): lambda key, etag: Condition(key, frozenset({etag})),
    ("key", "exists"): lambda key, exists: Condition(key, None, wanted=exists),
}
_OPERATIONS: _Shapes[Operation] = {
    ("put", "value"): lambda key, value: Put(key, document.dump(value)),
    ("put", "value", "ttl"): lambda key, value, ttl: Put(key, document.dump(value), float(ttl)),
    ("merge", "value"): Merge,
    ("delete",): Delete,
}


def _is_ttl(value: Any) -> bool:
    return isinstance(value, int | float) and value is not True and MIN_TTL <= value <= MAX_TTL


_MEMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "etag": (lambda value: isinstance(value, str), "an ETag, without the quotes it has in a header"),
    "exists": (lambda value: isinstance(value, bool), "true or false"),
    "ttl": (_is_ttl, f"seconds, from {MIN_TTL:.0f} to {MAX_TTL:.0f}"),
    "value": (lambda _: True, "any JSON"),
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """All of `operations`, if all of `conditions` hold. No two of either are about the same key."""

    conditions: tuple[Condition, ...]
    operations: tuple[Operation, ...]


class _FaultError(Exception):
    """What is wrong with one part, and where in it (a JSON pointer)."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


def parse(raw: bytes) -> Transaction:
    """Raises BadDocument; BadRequest, with a JSON pointer for each fault in `errors`."""
    body = document.parse(raw)
    faults: _Faults = []
    if not isinstance(body, dict) or not {"do"} <= body.keys() <= {"if", "do"}:
        body = {}
        faults.append(
            {"pointer": "", "detail": 'a transaction is {"if": […], "do": […]}, the first if need be'}
        )
    conditions = _parts(body.get("if", []), "/if", _CONDITIONS, faults)
    operations = _parts(body.get("do", []), "/do", _OPERATIONS, faults)
    if faults:
        detail = f"{faults[0]['detail']}, at {faults[0]['pointer'] or 'the top'}"
        raise BadRequest(detail, errors=faults[:_MAX_FAULTS])
    return Transaction(tuple(conditions), tuple(operations))


def _parts(listed: Any, pointer: str, shapes: _Shapes[_Part], faults: _Faults) -> list[_Part]:
    if not isinstance(listed, list) or len(listed) > MOST:
        faults.append({"pointer": pointer, "detail": f"a list of at most {MOST}"})
        return []
    parts: dict[str, _Part] = {}
    for index, given in enumerate(listed):
        try:
            part = _part(given, shapes)
            if part.key in parts:
                raise _FaultError("", f"{part.key} has been named before")
            parts[part.key] = part
        except _FaultError as fault:
            faults.append({"pointer": f"{pointer}/{index}{fault.pointer}", "detail": fault.detail})
    return list(parts.values())


def _part(given: Any, shapes: _Shapes[_Part]) -> _Part:
    for names, make in shapes.items():
        if isinstance(given, dict) and given.keys() == set(names):
            return make(*(_member(name, given[name]) for name in names))
    listed = "; ".join(", ".join(names) for names in shapes)
    raise _FaultError("", f"an object with these members and no others: {listed}")


def _member(name: str, value: Any) -> Any:
    if name not in _MEMBERS:
        return _key(name, value)
    fits, meaning = _MEMBERS[name]
    if not fits(value):
        raise _FaultError(f"/{name}", meaning)
    return value


def _key(name: str, value: Any) -> str:
    try:
        return check_key(value if isinstance(value, str) else "")
    except BadKey as error:
        raise _FaultError(f"/{name}", error.detail) from None
