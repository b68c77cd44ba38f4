"""JSON Patch, RFC 6902: steps that lead from one JSON value to another, all of them or none.

Pure, and bounded: what a patch copies, which could double with every step, has a limit of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from kv import document
from kv.errors import BadPatch, CannotApply, KvError, PatchTestFailed

MOST_STEPS = 1_000
MOST_NAMES = document.MAX_DEPTH
COPIED_BYTES = 1024 * 1024

Path = tuple[str, ...]
"""The tokens of a JSON pointer, an empty one before them, as the whole stands in its root under that name."""

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")  # RFC 6901, 3
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # RFC 6901, 4


@dataclass(frozen=True, slots=True)
class Step:
    """`source` is what the member `from` says, `value` what is to be put or tested; each where there is one."""

    operation: str
    path: Path
    source: Path = ()
    value: Any = None


def parse(given: Any) -> tuple[Step, ...]:
    """The steps of a patch that has been parsed as JSON. Raises BadPatch, with a JSON pointer in `errors`."""
    if not isinstance(given, list) or len(given) > MOST_STEPS:
        _refuse("", f"a patch is a list of at most {MOST_STEPS} steps")
    return tuple(_step(f"/{index}", each) for index, each in enumerate(given))


def apply(value: Any, steps: Sequence[Step]) -> Any:
    """What the steps make of `value`, which they change.

    Raises PatchTestFailed, or CannotApply for a place that is not there and a result that is too deep.
    """
    target = _Target({"": value})
    for index, step in enumerate(steps):
        try:
            _OPERATIONS[step.operation](target, step)
        except KvError as error:
            error.members["errors"] = [{"pointer": f"/{index}", "detail": error.detail}]
            raise
        except RecursionError:
            raise _too_deep() from None
    if "" not in target.root:
        raise CannotApply("the patch removes the whole document; delete the key instead")
    if document.is_too_deep(target.root[""]):
        raise _too_deep()
    return target.root[""]


def equal(one: Any, other: Any) -> bool:
    """RFC 6902, 4.6: numbers by what they are worth, and true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


# Reading a patch


def _step(pointer: str, given: Any) -> Step:
    operation = given.get("op") if isinstance(given, dict) else None
    if not isinstance(operation, str) or operation not in _MEMBERS:
        _refuse(pointer, f"a step is an object whose op is one of {', '.join(_MEMBERS)}")
    for name in _MEMBERS[operation]:
        if name not in given:
            _refuse(pointer, f"{operation} needs {name}")
    path = _path(f"{pointer}/path", given["path"])
    source = _path(f"{pointer}/from", given["from"]) if "from" in _MEMBERS[operation] else ()
    if operation == "move" and path[: len(source)] == source != path:
        _refuse(f"{pointer}/path", "nothing can be moved into itself")
    return Step(operation, path, source, given.get("value"))


def _path(pointer: str, given: Any) -> Path:
    if not isinstance(given, str) or not _POINTER.fullmatch(given) or given.count("/") > MOST_NAMES:
        _refuse(pointer, f"a JSON pointer (RFC 6901) of at most {MOST_NAMES} names")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in given.split("/"))


def _refuse(pointer: str, detail: str) -> NoReturn:
    where = pointer or "the top"
    raise BadPatch(f"{detail}, at {where}", errors=[{"pointer": pointer, "detail": detail}])


# Taking the steps


@dataclass(slots=True)
class _Target:
    """The value on its way, as the only member of `root`. No two places of it are one and the same object."""

    root: Any
    copied: int = 0

    def find(self, path: Path) -> Any:
        found = self.root
        for token in path:
            found = found[_place(found, token, path)]
        return found

    def put(self, path: Path, value: Any) -> None:
        parent, last = self.find(path[:-1]), path[-1]
        if isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else _index(last, len(parent), path), value)
        elif isinstance(parent, dict):
            parent[last] = value
        else:
            raise _nothing(path)

    def take(self, path: Path) -> Any:
        parent = self.find(path[:-1])
        place = _place(parent, path[-1], path)
        return parent.pop(place)

    def replace(self, path: Path, value: Any) -> None:
        parent = self.find(path[:-1])
        parent[_place(parent, path[-1], path)] = value

    def copy(self, path: Path) -> Any:
        raw = document.dump(self.find(path))
        self.copied += len(raw)
        if self.copied > COPIED_BYTES:
            raise CannotApply(f"the patch copies more than {COPIED_BYTES} bytes")
        return json.loads(raw)


def _test(target: _Target, step: Step) -> None:
    if not equal(target.find(step.path), step.value):
        raise PatchTestFailed(f"{_shown(step.path)} has another value")


def _own(value: Any) -> Any:
    """A patch may be applied again; what is put into the target may be changed by later steps."""
    return json.loads(document.dump(value))


_MEMBERS = {
    "add": ("path", "value"),
    "remove": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "from"),
    "copy": ("path", "from"),
    "test": ("path", "value"),
}
_OPERATIONS: dict[str, Callable[[_Target, Step], object]] = {
    "add": lambda target, step: target.put(step.path, _own(step.value)),
    "remove": lambda target, step: target.take(step.path),
    "replace": lambda target, step: target.replace(step.path, _own(step.value)),
    "move": lambda target, step: target.put(step.path, target.take(step.source)),
    "copy": lambda target, step: target.put(step.path, target.copy(step.source)),
    "test": _test,
}


def _place(parent: Any, token: str, path: Path) -> int | str:
    """Where `token` is in `parent`. Raises CannotApply if nothing is there."""
    if isinstance(parent, list):
        return _index(token, len(parent) - 1, path)
    if isinstance(parent, dict) and token in parent:
        return token
    raise _nothing(path)


def _index(token: str, last: int, path: Path) -> int:
    if not _INDEX.fullmatch(token) or int(token) > last:
        raise _nothing(path)
    return int(token)


def _nothing(path: Path) -> CannotApply:
    return CannotApply(f"there is no {_shown(path)}")


def _too_deep() -> CannotApply:
    return CannotApply(f"the result is more than {document.MAX_DEPTH} levels deep")


def _shown(path: Path) -> str:
    return (
        "/".join(token.replace("~", "~0").replace("/", "~1") for token in path)[:200] or "the whole document"
    )
