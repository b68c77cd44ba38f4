"""JSON documents as values: one with some of its members replaced, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What stands for a member that is not there; JSON has no such value.
ABSENT: Any = object()


class Difference(NamedTuple):
    """At a JSON pointer (RFC 6901): what was there and what is; ABSENT where there is nothing."""

    pointer: str
    before: Any
    after: Any


def merged(target: Any, patch: Any) -> Any:
    """The document that a merge patch makes of another (RFC 7396). Neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Difference]:
    """The smallest members that differ; a list is taken whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), place)
    elif before != after:
        yield Difference(pointer, before, after)
