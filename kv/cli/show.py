"""What commands print, as text. Pure: no server, no terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_VERSIONS = ("REVISION", "VERSION", "MODIFIED", "SIZE", "ETAG", "AUTHOR", "NOTE")
_KEYS = ("KEY", "REVISION", "SIZE", "MODIFIED", "ETAG")
_NUMBERS = frozenset({"REVISION", "VERSION", "SIZE"})


def written(answer: Mapping[str, Any]) -> str:
    """The outcome of a write, in a line."""
    key, revision, etag = answer["key"], answer["revision"], answer["etag"]
    if not answer["changed"]:
        return f"{key}: unchanged since revision {revision}, ETag {etag}"
    if etag == "0":
        return f"{key}: deleted, revision {revision}"
    return f"{key}: revision {revision}, ETag {etag}"


def keys(items: Iterable[Mapping[str, Any]]) -> str:
    """A table."""
    return table(
        _KEYS,
        [(each["key"], each["revision"], each["size"], each["modified"], each["etag"]) for each in items],
    )


def versions(history: Iterable[Mapping[str, Any]]) -> str:
    """A table, in the order given."""
    return table(_VERSIONS, [_version(each) for each in history])


def _version(told: Mapping[str, Any]) -> tuple[Any, ...]:
    size, etag = ("deleted", "–") if told["deleted"] else (told["size"], told["etag"])
    return told["revision"], told["version"], told["modified"], size, etag, told["author"], told["note"]


def change(kind: str, told: Mapping[str, Any]) -> str:
    """One event of a watch, in a line."""
    if kind == "put":
        return f"put {told['key']} {told['etag']} {compact(told['value'])}"
    return f"delete {told['key']}" if kind == "delete" else kind


def compact(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns as wide as they need to be, numbers to the right."""
    lines = [tuple(head), *(tuple(plain(str(cell)) for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_line(head, widths, line) for line in lines)


def _line(head: Sequence[str], widths: Sequence[int], cells: Sequence[str]) -> str:
    placed = (
        cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
        for name, width, cell in zip(head, widths, cells, strict=True)
    )
    return "  ".join(placed).rstrip()


def plain(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
