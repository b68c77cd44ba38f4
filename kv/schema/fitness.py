"""Whether something is a JSON Schema that can be used here, and where it is not.

It has to stand alone, for nothing is ever fetched, and its patterns have to be RE2's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from jsonschema import FormatChecker
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from kv import document
from kv.errors import BadSchema, TooLarge
from kv.schema.keywords import DIALECTS, pattern, split
from kv.schema.vocabulary import VOCABULARY
from kv.schema.wording import MOST_FAULTS, Fault, faults_of, step

LARGEST = 128 * 1024
_WANTED = {str: "a text", bool: "true or false", int: "a whole number"}

_FORMATS = FormatChecker(formats=())
_FORMATS.checks("regex", raises=ValueError)(lambda text: not isinstance(text, str) or bool(pattern(text)))


def check(raw: bytes) -> None:
    """Raises BadDocument, TooLarge or BadSchema, which has a pointer for each fault."""
    if len(raw) > LARGEST:
        raise TooLarge(f"a schema may have {LARGEST} bytes")
    dialect, schema = split(document.parse(raw))
    try:
        faults = list(islice(_faults(dialect, schema), MOST_FAULTS))
    except RecursionError:
        faults = [Fault("", "is nested too deeply")]
    if faults:
        told = [fault.told() for fault in faults]
        raise BadSchema(f"this cannot be used as a schema: {faults[0]}", errors=told)


def _faults(dialect: str, schema: Any) -> Iterator[Fault]:
    if dialect not in DIALECTS:
        yield Fault("/$schema", f"must be one of {', '.join(DIALECTS)}")
        return
    judge = DIALECTS[dialect].standard
    faults = list(faults_of(judge(judge.META_SCHEMA, format_checker=_FORMATS).iter_errors(schema)))
    faults += _dialects_within(schema)
    yield from faults or _beyond_the_standard(dialect, schema)  # what is no schema cannot be walked as one


def _dialects_within(schema: Any) -> Iterator[Fault]:
    """What stands below one would be judged by jsonschema's own keywords, which know no bounds."""
    for pointer, node in _objects(schema, ""):
        if isinstance(node.get("$schema"), str):
            yield Fault(f"{pointer}/$schema", "may stand at the top only")


def _beyond_the_standard(dialect: str, schema: Any) -> Iterator[Fault]:
    root = specification_with(dialect).create_resource(schema)
    try:
        parts = list(_subschemas(root, Registry().resolver_with_root(root)))
    except ValueError:
        yield Fault("", "has an $id that is no URI")
        return
    pointers = {id(node): pointer for pointer, node in _objects(schema, "")}
    known = {id(part) for part, _ in parts}
    for part, resolver in parts:
        pointer = pointers[id(part)]
        for keyword in part.keys() & VOCABULARY.keys():
            wanted, _ = VOCABULARY[keyword]
            if type(part[keyword]) is not wanted:  # true is a whole number to isinstance
                yield Fault(f"{pointer}/{keyword}", f"must be {_WANTED[wanted]}")
        for keyword in part.keys() & {"$ref", "$dynamicRef"}:
            target = _target(resolver, part[keyword])
            if not isinstance(target, bool) and id(target) not in known:
                yield Fault(f"{pointer}/{keyword}", "leads to no schema in this one, and nothing is fetched")
        if "unevaluatedProperties" in part and any("patternProperties" in each for each, _ in parts):
            yield Fault(f"{pointer}/unevaluatedProperties", "cannot be used together with patternProperties")


def _subschemas(resource: Resource[Any], resolver: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """All of it that are objects, with what resolves references in each."""
    if isinstance(resource.contents, dict):
        yield resource.contents, resolver
        for below in resource.subresources():
            yield from _subschemas(below, resolver.in_subresource(below))


def _target(resolver: Any, reference: str) -> Any:
    try:
        return resolver.lookup(reference).contents
    except (Unresolvable, ValueError):
        return None


def _objects(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in it, with its place."""
    if isinstance(value, dict):
        yield pointer, value
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield from _objects(member, pointer + step(name))
