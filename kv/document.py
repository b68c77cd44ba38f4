"""JSON as this server accepts it: RFC 8259 in UTF-8, and stricter where readers are known to differ.

Refused, each with its place: a byte order mark, NaN and Infinity, duplicate names, numbers no double can hold, half a
surrogate pair, more than 64 levels. Pure; knows nothing of keys or HTTP.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kv.errors import BadDocument

MAX_DEPTH = 64
_MAX_DIGITS = 4300  # what Python converts without being told to; no double holds more than 309
_MAX_FAULTS = 10
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')  # or a text, in which brackets mean nothing
_BOM = b"\xef\xbb\xbf"

_Path = tuple[Any, str | int] | None


@dataclass(frozen=True, slots=True)
class _Fault:
    """Stands where the parser met something that JSON allows it to pass and we do not."""

    reason: str


def parse(raw: bytes) -> Any:
    """The JSON value in `raw`. Raises BadDocument, with line and column or with JSON pointers."""
    value = _decode(_text(raw))
    faults = [
        {"pointer": pointer, "detail": reason} for pointer, reason in islice(_faults(value), _MAX_FAULTS)
    ]
    if faults:
        first = faults[0]
        raise BadDocument(f"{first['detail']}, at {first['pointer'] or 'the top'}", errors=faults)
    return value


def dump(value: Any) -> bytes:
    """`value` as one line of JSON in UTF-8, names in their order."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2. Neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def rewrite(stored: bytes, change: Callable[[Any], Any]) -> bytes:
    """What `change` makes of the value in `stored`; the very same bytes when it makes no difference.

    Texts are compared, not values: Python holds 1, 1.0 and true for equal.
    """
    current = json.loads(stored)
    before = dump(current)
    after = dump(change(current))
    return stored if before == after else after


def is_too_deep(value: Any) -> bool:
    """Whether there are more than MAX_DEPTH levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each) if isinstance(child, dict | list)]
    return bool(level)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _text(raw: bytes) -> str:
    if not raw.strip():
        raise BadDocument("the body is empty")
    if raw.startswith(_BOM):
        raise BadDocument("a byte order mark at byte 0: save the document as UTF-8 without one")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDocument(f"not UTF-8 at byte {error.start}") from None


def _decode(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadDocument(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise BadDocument(f"more than {MAX_DEPTH} levels deep{_beyond_depth(text)}") from None


def _beyond_depth(text: str) -> str:
    """Where it gets too deep; the parser gives up much later, without saying where."""
    depth = 0
    for match in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            line_start = text.rfind("\n", 0, match.start()) + 1
            return f" at line {text.count(chr(10), 0, match.start()) + 1} column {match.start() - line_start + 1}"
    return ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                members[name] = _Fault("a name that appears twice in its object")
            seen.add(name)
    return members


def _constant(name: str) -> _Fault:
    return _Fault(f"{name} is not JSON")


def _float(text: str) -> float | _Fault:
    number = float(text)
    return number if math.isfinite(number) else _Fault("a number too large for a double")


def _int(text: str) -> int | _Fault:
    return int(text) if len(text) <= _MAX_DIGITS else _Fault("a number too large for a double")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
)


def _faults(root: Any) -> Iterator[tuple[str, str]]:
    stack: list[tuple[Any, _Path, int]] = [(root, None, 1)]
    while stack:
        value, path, depth = stack.pop()
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                yield _pointer(path), f"more than {MAX_DEPTH} levels deep"
                continue
            named = value.items() if isinstance(value, dict) else enumerate(value)
            stack.extend((child, (path, name), depth + 1) for name, child in named)
            if isinstance(value, dict) and not all(map(_is_text, value)):
                yield _pointer(path), "half a surrogate pair in a name"
        elif isinstance(value, _Fault):
            yield _pointer(path), value.reason
        elif isinstance(value, str) and not _is_text(value):
            yield _pointer(path), "half a surrogate pair in a string"


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _pointer(path: _Path) -> str:
    """RFC 6901."""
    tokens: list[str] = []
    while path is not None:
        path, name = path
        tokens.append(str(name).replace("~", "~0").replace("/", "~1"))
    return "".join("/" + token for token in reversed(tokens))
