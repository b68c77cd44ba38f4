"""The keywords of JSON Schema as they are judged here: jsonschema's, made fit for schemas of strangers.

Patterns are RE2's, linear in time whatever they are; look-around and back references are unknown to it. Every
keyword that is looked at costs steps of an allowance, so that no schema, however clever, holds the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, cast

import re2
from jsonschema import Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from kv.schema.vocabulary import VOCABULARY, Miss

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

# These walk the whole instance for each member of their value, or for what stands beside them.
_WIDE = frozenset(
    {"patternProperties", "additionalProperties", "propertyNames", "uniqueItems", "uniqueOrigins"}
)


class Exhausted(Exception):
    """The allowance was spent before there was a verdict."""


class _Allowance:
    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps


_ALLOWANCE: ContextVar[_Allowance] = ContextVar("allowance")


@contextmanager
def allowed(steps: int) -> Iterator[None]:
    """What is judged inside raises Exhausted after so many steps, each some microseconds."""
    token = _ALLOWANCE.set(_Allowance(steps))
    try:
        yield
    finally:
        _ALLOWANCE.reset(token)


@lru_cache(maxsize=1024)
def pattern(text: str) -> Any:
    """The compiled pattern; raises ValueError with what is wrong with it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else reason) from None


SAID = "said"
"""The keyword of errors whose message is a sentence already."""


def _fault(name: str | int, sentence: str) -> ValidationError:
    """Of a member of what is judged, whose own schema has nothing to say about it."""
    return ValidationError(sentence, path=[name], validator=SAID, schema={})


def _member(validator: Any, name: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """By itself jsonschema does not say where it was that a schema of false forbade."""
    if schema is False:
        yield _fault(name, "is not allowed here")
    else:
        yield from validator.descend(value, schema, path=name)


def _pattern(validator: Any, value: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not pattern(value).search(instance):
        yield ValidationError("")


def _properties(
    validator: Any, value: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    for name, below in value.items():
        if isinstance(instance, dict) and name in instance:
            yield from _member(validator, name, instance[name], below)


def _pattern_properties(
    validator: Any, value: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for text, below in value.items():
        fits = pattern(text).search
        for name in filter(fits, instance):
            yield from _member(validator, name, instance[name], below)


def _additional_properties(
    validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = [pattern(text) for text in schema.get("patternProperties", {})]
    for name, member in instance.items():
        if name in known or any(each.search(name) for each in patterns):
            continue
        if value is False:
            yield _fault(name, f"is not known here{_suggestion(name, known)}")
        else:
            yield from validator.descend(member, value, path=name)


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:60], known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _property_names(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    judge = validator.evolve(schema=value)
    for name in instance if isinstance(instance, dict) else ():
        if not judge.is_valid(name):
            yield _fault(name, "has a name that is not allowed here")


def _required(validator: Any, value: list[str], instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        yield from (_fault(name, "is missing") for name in value if name not in instance)


def _dependent_required(
    validator: Any, value: Mapping[str, list[str]], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    for name, needed in value.items():
        if isinstance(instance, dict) and name in instance:
            yield from (_fault(each, f"is missing beside {name}") for each in needed if each not in instance)


def _unique_items(validator: Any, value: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not value or not isinstance(instance, list):
        return
    seen = set()
    for index, item in enumerate(instance):
        if (same := _hashable(item)) in seen:
            yield _fault(index, "is there twice")
        seen.add(same)


def _hashable(value: Any) -> Any:
    """Equal for equal JSON values only: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return frozenset((name, _hashable(member)) for name, member in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return (type(value), value) if isinstance(value, bool) else value


def _multiple_of(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, bool) or not isinstance(instance, int | float):
        return
    if (
        Fraction(str(instance)) / Fraction(str(value))
    ).denominator != 1:  # by digits: 0.3 is a multiple of 0.1
        yield ValidationError("")


_OURS: dict[str, Keyword] = {
    "pattern": _pattern,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "required": _required,
    "dependentRequired": _dependent_required,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
}


def _added(judge: Callable[[Any, Any], Iterator[Miss]]) -> Keyword:
    def keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        for path, sentence in judge(value, instance):
            yield ValidationError(sentence, path=path, validator=SAID, schema={} if path else schema)

    return keyword


def _metered(name: str, keyword: Keyword) -> Keyword:
    def judge(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        allowance = _ALLOWANCE.get()
        size = len(value) if isinstance(value, list | dict) else 0
        wide = name in _WIDE and isinstance(instance, list | dict)
        allowance.left -= 1 + size + (max(size, 1) * len(instance) if wide else 0)
        if allowance.left < 0:
            raise Exhausted
        return keyword(validator, value, instance, schema)

    return judge


def _bounded(dialect: type[Any]) -> type[Any]:
    table: dict[str, Any] = dict(dialect.VALIDATORS)
    table |= {name: keyword for name, keyword in _OURS.items() if name in table}
    table |= {name: _added(judge) for name, (_, judge) in VOCABULARY.items()}
    metered = {name: _metered(name, keyword) for name, keyword in table.items()}
    return cast(type[Any], extend(dialect, metered))  # type: ignore[no-untyped-call]


class Dialect(NamedTuple):
    """jsonschema's validators: `standard` for metaschemas, `bounded` for what strangers send."""

    standard: type[Any]
    bounded: type[Any]


DEFAULT_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DIALECTS = {
    DEFAULT_DIALECT: Dialect(Draft202012Validator, _bounded(Draft202012Validator)),
    "https://json-schema.org/draft/2019-09/schema": Dialect(
        Draft201909Validator, _bounded(Draft201909Validator)
    ),
    "http://json-schema.org/draft-07/schema": Dialect(Draft7Validator, _bounded(Draft7Validator)),
}


def split(schema: Any) -> tuple[str, Any]:
    """The name of its dialect, and the rest: by a $schema jsonschema would go back to keywords without bounds."""
    if not isinstance(schema, dict):
        return DEFAULT_DIALECT, schema
    named = schema.get("$schema", DEFAULT_DIALECT)
    rest = {name: value for name, value in schema.items() if name != "$schema"}
    return (named.removesuffix("#") if isinstance(named, str) else ""), rest
