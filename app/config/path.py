"""Places in a document as people write them: `timeouts.head`, `stable.servers[0].weight`."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

_STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]{1,4})\]")
Path = tuple[str | int, ...]


def parse(text: str) -> Path:
    """The names and the numbers on the way. Raises ValueError."""
    steps: list[str | int] = []
    end = 0
    while end < len(text):
        match = _STEP.match(text, end)
        if match is None or (match[0].startswith(".") and not steps):
            raise ValueError(f"{text!r} is not a place such as timeouts.head or stable.servers[0].weight")
        steps.append(match[1] or int(match[2]))
        end = match.end()
    if not steps or isinstance(steps[0], int):
        raise ValueError(f"{text!r} does not begin with the name of a field")
    return tuple(steps)


def pointer(place: str) -> str:
    """A place in the words of a fault as a JSON pointer (RFC 6901); "" is the whole document."""
    names = re.sub(r"\[([0-9]+)\]", r".\1", place).split(".") if place else []
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def assign(document: dict[str, Any], path: Path, value: Any) -> None:
    """Put `value` there; objects on the way are made, lists grow by one at most. Raises ValueError."""
    holder: Any = document
    for step, following in pairwise(path):
        holder = _below(holder, step, path, [] if isinstance(following, int) else {})
    _check(holder, path[-1], path, room=1)
    if isinstance(holder, list) and path[-1] == len(holder):
        holder.append(value)
    else:
        holder[path[-1]] = value


def remove(document: dict[str, Any], path: Path) -> None:
    """Take out what is there; nothing happens when nothing is. Raises ValueError when there could not be anything."""
    holder: Any = document
    for step in path[:-1]:
        _check(holder, step, path)
        if isinstance(holder, dict) and step not in holder:
            return
        holder = holder[step]
    last: Any = path[-1]
    _check(holder, last, path)
    if isinstance(holder, list) or last in holder:
        del holder[last]


def _below(holder: Any, step: str | int, path: Path, empty: Any) -> Any:
    _check(holder, step, path, room=1)
    if isinstance(holder, list):
        if step == len(holder):
            holder.append(empty)
        return holder[int(step)]
    if holder.get(step) is None:
        holder[step] = empty
    return holder[step]


def _check(holder: Any, step: str | int, path: Path, room: int = 0) -> None:
    if isinstance(holder, list) and isinstance(step, int):
        if step >= len(holder) + room:
            raise ValueError(f"{_text(path)}: there is no [{step}], the list has {len(holder)}")
        return
    if not isinstance(holder, dict) or isinstance(step, int):
        raise ValueError(f"{_text(path)}: {step!r} is not to be found in what is there")


def _text(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
