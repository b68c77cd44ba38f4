"""What is taken for a schema, and what is not: where and why."""

from __future__ import annotations

import json

import pytest

from kv.errors import BadDocument, BadSchema, TooLarge
from kv.schema import fitness
from kv.schema.compiled import Compiled
from kv.schema.keywords import DIALECTS

DRAFT_07 = "http://json-schema.org/draft-07/schema#"


def check(schema):
    fitness.check(json.dumps(schema).encode())


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        {"type": ["object", "null"], "properties": {"pattern": {"type": "string"}, "$schema": {}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#"}}}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a"}}},
        {"$ref": "urn:a", "$defs": {"a": {"$id": "urn:a"}}},
        {"$id": "https://example.com/a", "$ref": "a#/$defs/b", "$defs": {"b": {}}},
        {"$id": "http://["},
        {"$schema": DRAFT_07, "dependencies": {"a": ["b"]}, "definitions": {"a": {}}},
        {"pattern": "^(a+)+$", "patternProperties": {r"\d": {}}},
        {"x-anything": {"$ref": "http://example.com"}, "default": {"type": "no type"}},
        *({"$schema": dialect} for dialect in DIALECTS),
    ],
)
def test_fit(schema):
    check(schema)
    Compiled(json.dumps(schema).encode()).judge(b"{}", 1000)


@pytest.mark.parametrize(
    ("schema", "pointer", "detail"),
    [
        (5, "", "must be an object or true or false"),
        ({"type": "strng"}, "/type", 'must be "array" or "boolean"'),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum", "must be a number"),
        ({"required": "a"}, "/required", "must be a list"),
        ({"required": ["a", "a"]}, "/required", "must have no item twice"),
        ({"$schema": "http://example.com/"}, "/$schema", "must be one of https://json-schema.org/draft/2020"),
        ({"$schema": 7}, "/$schema", "must be one of"),
        ({"items": {"$schema": DRAFT_07}}, "/items/$schema", "may stand at the top only"),
        ({"const": {"$schema": DRAFT_07}}, "/const/$schema", "may stand at the top only"),
        ({"$ref": "http://127.0.0.1:1/a"}, "/$ref", "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "/$ref", "nothing is fetched"),
        ({"$ref": "http://["}, "/$ref", "nothing is fetched"),
        ({"$ref": "#/$defs/no"}, "/$ref", "leads to no schema"),
        ({"$ref": "#/default", "default": {}}, "/$ref", "leads to no schema"),
        ({"allOf": [{"$dynamicRef": "#no"}]}, "/allOf/0/$dynamicRef", "leads to no schema"),
        ({"pattern": "(?=a)"}, "/pattern", "is no regex"),
        ({"pattern": r"(a)\1"}, "/pattern", "is no regex"),
        ({"patternProperties": {"(": {}}}, "/patternProperties", "is no regex"),
        ({"items": {"uniqueOrigins": True}}, "/items/uniqueOrigins", "must be a text"),
        ({"ipNetwork": 1}, "/ipNetwork", "must be true or false"),
        ({"maxBytes": True}, "/maxBytes", "must be a whole number"),
        (
            {"unevaluatedProperties": False, "allOf": [{"patternProperties": {"a": {}}}]},
            "/unevaluatedProperties",
            "cannot be used together with patternProperties",
        ),
    ],
)
def test_not_fit(schema, pointer, detail):
    with pytest.raises(BadSchema) as caught:
        check(schema)
    first = caught.value.members["errors"][0]
    assert (first["pointer"], detail in first["detail"]) == (pointer, True), first


def test_every_fault_is_told_up_to_a_limit():
    with pytest.raises(BadSchema) as caught:
        check({"properties": {f"p{number}": {"type": 1} for number in range(100)}})
    assert len(caught.value.members["errors"]) == 20


def test_not_json():
    with pytest.raises(BadDocument, match="column"):
        fitness.check(b'{"type": }')


def test_too_large():
    with pytest.raises(TooLarge, match="131072"):
        check({"description": "x" * 131_072})


def test_deep():
    schema = {}
    for _ in range(31):
        schema = {"properties": {"a": schema}}
    check(schema)
