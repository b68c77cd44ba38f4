"""What is wrong with a document, in words for whoever wrote it: jsonschema's errors turned into sentences.

Never shows a value, which may be a secret. A schema may say things better itself, with `errorMessage`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jsonschema.exceptions import ValidationError

from kv.schema.keywords import SAID

MOST_FAULTS = 20
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """`pointer` (RFC 6901) names the place, `detail` goes on from there: "must be a number"."""

    pointer: str
    detail: str

    def __str__(self) -> str:
        return f"{self.pointer or 'the whole'} {self.detail}"

    def told(self) -> dict[str, str]:
        return {"pointer": self.pointer, "detail": self.detail}


def step(name: str | int) -> str:
    """One more step of a JSON pointer."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


def faults_of(errors: Iterable[ValidationError]) -> Iterator[Fault]:
    """Each fault once. Of several forms that are all missed, only the one that was meant counts."""
    seen: set[Fault] = set()
    for fault in (fault for error in errors for fault in _faults(error)):
        if fault not in seen:
            seen.add(fault)
            yield fault


def _faults(error: ValidationError) -> Iterator[Fault]:
    said = error.schema.get("errorMessage") if isinstance(error.schema, Mapping) else None
    forms = _forms(error)
    meant = [form for form in forms if not any(map(_is_of_another_kind, form))]
    if isinstance(said, str):
        yield _fault(error, said)
    elif len(meant) == 1:
        yield from (fault for each in meant[0] for fault in _faults(each))
    elif forms:
        yield _fault(error, _alternatives(meant or forms))
    else:
        yield _fault(error, _sentence(error))


def _forms(error: ValidationError) -> list[list[ValidationError]]:
    """The errors in each form of an anyOf or oneOf."""
    by_form = groupby(error.context or (), key=lambda each: next(iter(each.relative_schema_path), None))
    return [list(errors) for _, errors in by_form]


def _is_of_another_kind(error: ValidationError) -> bool:
    return not error.relative_path and error.validator in ("type", "enum", "const", None)


def _alternatives(forms: list[list[ValidationError]]) -> str:
    sentences = [_sentence(form[0]) for form in forms if not form[0].relative_path and not form[0].context]
    if len(sentences) < len(forms) or not all(each.startswith(_MUST_BE) for each in sentences):
        return f"fits none of the {len(forms)} forms that it may have"
    return _MUST_BE + " or ".join(dict.fromkeys(each.removeprefix(_MUST_BE) for each in sentences))


def _fault(error: ValidationError, detail: str) -> Fault:
    short = detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST - 1]}…"
    return Fault("".join(map(step, error.absolute_path)), short)


def _sentence(error: ValidationError) -> str:
    say = _SENTENCES.get(str(error.validator))
    return say(error) if say else "does not fit the schema"


_MUST_BE = "must be "
_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _type(error: ValidationError) -> str:
    types: Any = error.validator_value
    return _MUST_BE + " or ".join(_TYPES[each] for each in (types if isinstance(types, list) else [types]))


def _enum(error: ValidationError) -> str:
    values: Any = error.validator_value
    return _MUST_BE + " or ".join(map(_json, values))


def _with_value(text: str) -> Callable[[ValidationError], str]:
    return lambda error: text.format(_json(error.validator_value))


def _plain(text: str) -> Callable[[ValidationError], str]:
    return lambda _: text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_SENTENCES: dict[str, Callable[[ValidationError], str]] = {
    SAID: lambda error: error.message,
    "None": _plain("is not allowed here"),  # the schema false
    "type": _type,
    "enum": _enum,
    "const": _with_value("must be {}"),
    "minimum": _with_value("must be at least {}"),
    "maximum": _with_value("must be at most {}"),
    "exclusiveMinimum": _with_value("must be above {}"),
    "exclusiveMaximum": _with_value("must be below {}"),
    "multipleOf": _with_value("must be a multiple of {}"),
    "minLength": _with_value("must have at least {} characters"),
    "maxLength": _with_value("must have at most {} characters"),
    "pattern": _with_value("must match the pattern {}"),
    "format": lambda error: f"is no {error.validator_value}: {error.cause}",
    "minItems": _with_value("must have at least {} items"),
    "maxItems": _with_value("must have at most {} items"),
    "items": _plain("has more items than it may"),
    "uniqueItems": _plain("must have no item twice"),
    "contains": _plain("has no item of the kind that is needed"),
    "minContains": _with_value("must have at least {} items of the kind that is needed"),
    "maxContains": _with_value("must have at most {} items of one kind"),
    "minProperties": _with_value("must have at least {} members"),
    "maxProperties": _with_value("must have at most {} members"),
    "unevaluatedProperties": _plain("has members that are not known here"),
    "unevaluatedItems": _plain("has items that are not known here"),
    "oneOf": _plain("fits several forms of which it may have only one"),
    "not": _plain("is what is ruled out here"),
}
