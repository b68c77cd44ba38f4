"""What a schema says of documents, in words; and that it takes its time from nobody."""

from __future__ import annotations

import json
from contextlib import suppress

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv.errors import KvError
from kv.schema import fitness
from kv.schema.compiled import Compiled
from kv.schema.keywords import Exhausted
from tests.support.processes import ROOT

STEPS = 100_000
CONFIG = json.loads((ROOT / "config/schema.json").read_bytes())
GOOD = json.loads((ROOT / "config/canary.json").read_bytes())


def faults(schema, document, steps=STEPS):
    compiled = Compiled(json.dumps(schema).encode())
    return [(fault.pointer, fault.detail) for fault in compiled.judge(json.dumps(document).encode(), steps)]


@pytest.mark.parametrize(
    ("schema", "document", "pointer", "detail"),
    [
        ({"type": "number"}, "x", "", "must be a number"),
        ({"type": ["string", "null"]}, [], "", "must be a text or null"),
        ({"enum": ["a", None, 1]}, "secret", "", 'must be "a" or null or 1'),
        ({"const": True}, 1, "", "must be true"),
        ({"minimum": 1}, 0, "", "must be at least 1"),
        ({"maximum": 1}, 7, "", "must be at most 1"),
        ({"exclusiveMinimum": 1}, 1, "", "must be above 1"),
        ({"exclusiveMaximum": 1}, 1, "", "must be below 1"),
        ({"multipleOf": 0.1}, 0.35, "", "must be a multiple of 0.1"),
        ({"minLength": 2}, "x", "", "must have at least 2 characters"),
        ({"maxLength": 2}, "xyz", "", "must have at most 2 characters"),
        ({"pattern": "^a+$"}, "secret", "", 'must match the pattern "^a+$"'),
        ({"pattern": "^a$"}, "a\n", "", 'must match the pattern "^a$"'),
        ({"minItems": 1}, [], "", "must have at least 1 items"),
        ({"maxItems": 1}, [1, 2], "", "must have at most 1 items"),
        ({"uniqueItems": True}, [1, {"a": [1]}, True, {"a": [1.0]}], "/3", "is there twice"),
        ({"contains": {"const": 1}}, [2], "", "has no item of the kind that is needed"),
        (
            {"contains": {}, "minContains": 2},
            [2],
            "",
            "must have at least 2 items of the kind that is needed",
        ),
        ({"contains": {}, "maxContains": 1}, [2, 3], "", "must have at most 1 items of one kind"),
        (
            {"uniqueOrigins": "url"},
            [{"url": "http://a"}, {"url": "http://b"}, {"url": "HTTP://A:080"}],
            "/2/url",
            "is the same server as item 0",
        ),
        (
            {"uniqueOrigins": "url"},
            [{"url": "ws://[::1]:1"}, {"url": "ws://[0::1]:1"}],
            "/1/url",
            "is the same server as item 0",
        ),
        (
            {"ipNetwork": True},
            "10.0.0.1/8",
            "",
            "must be an IP address, or a network without bits behind its mask",
        ),
        ({"ipNetwork": True, "errorMessage": "must be ours"}, "a", "", "must be ours"),
        ({"maxBytes": 2}, "aé", "", "must have at most 2 bytes"),
        ({"minProperties": 1}, {}, "", "must have at least 1 members"),
        ({"maxProperties": 0}, {"a": 1}, "", "must have at most 0 members"),
        ({"required": ["a"]}, {}, "/a", "is missing"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "/b", "is missing beside a"),
        (
            {"properties": {"ratio": {}}, "additionalProperties": False},
            {"x/~": 1},
            "/x~1~0",
            "is not known here",
        ),
        (
            {"properties": {"ratio": {}}, "additionalProperties": False},
            {"ratoi": 1},
            "/ratoi",
            'is not known here; did you mean "ratio"?',
        ),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, "/a", "must be null"),
        ({"patternProperties": {"^a": {"type": "null"}}}, {"ab": 1, "b": 1}, "/ab", "must be null"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "/ab", "has a name that is not allowed here"),
        ({"unevaluatedProperties": False}, {"a": 1}, "", "has members that are not known here"),
        ({"prefixItems": [True], "unevaluatedItems": False}, [1, 2], "", "has items that are not known here"),
        ({"not": {"type": "null"}}, None, "", "is what is ruled out here"),
        ({"oneOf": [{}, {"type": "null"}]}, None, "", "fits several forms of which it may have only one"),
        (
            {"anyOf": [{"type": "number"}, {"enum": [None, "off"]}]},
            "x",
            "",
            'must be a number or null or "off"',
        ),
        ({"anyOf": [{"minimum": 9}, {"type": "null"}]}, 5, "", "must be at least 9"),
        ({"anyOf": [{"minimum": 9}, {"multipleOf": 2}]}, 5, "", "must be at least 9 or a multiple of 2"),
        ({"anyOf": [{"minLength": 9}, {"not": {}}]}, "", "", "fits none of the 2 forms that it may have"),
        ({"items": False, "prefixItems": [{}]}, [1, 2, 3], "", "has more items than it may"),
        (
            {"anyOf": [{"properties": {"a": {"type": "null"}}}, {"type": "null"}]},
            {"a": {}},
            "/a",
            "must be null",
        ),
        ({"if": {"minimum": 1}, "then": {"type": "null"}}, 2, "", "must be null"),
        ({"properties": {"a": False}}, {"a": 1}, "/a", "is not allowed here"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, 1, "", "must be null"),
        ({"minimum": 1, "errorMessage": "must be enough"}, 0, "", "must be enough"),
        ({"anyOf": [{"minimum": 1}], "errorMessage": "must be enough"}, 0, "", "must be enough"),
        ({"minimum": 1, "errorMessage": {"minimum": "no"}}, 0, "", "must be at least 1"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}},
            {"a": 1},
            "",
            "does not fit the schema",
        ),
    ],
)
def test_in_words(schema, document, pointer, detail):
    fitness.check(json.dumps(schema).encode())
    assert faults(schema, document) == [(pointer, detail)]


def test_a_long_sentence_is_cut():
    ((_, detail),) = faults({"enum": ["x" * 1000]}, 1)
    assert len(detail) == 300


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({"multipleOf": 0.1}, 0.3),
        ({"multipleOf": 0.5}, 10**3000),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, {"a": True}]),
        ({"patternProperties": {"a": {}}, "additionalProperties": False}, {"ba": 1}),
        ({"format": "email"}, "nobody"),
        (
            {"uniqueOrigins": "url"},
            [1, {}, {"url": 1}, {"url": 1}, {"url": "http://a"}, {"url": "http://a:81"}],
        ),
        ({"uniqueOrigins": "url", "maxBytes": 1, "ipNetwork": True}, {"url": 7}),
        ({"ipNetwork": False, "maxBytes": 2}, "é"),
        ({"items": {"ipNetwork": True}}, ["10.0.0.0/8", "::1", "2001:db8::/32", "10.0.0.1"]),
        ({"$defs": {"a": {"type": "no type"}}} | {"$defs": {}}, 1),
    ],
)
def test_satisfied(schema, document):
    assert faults(schema, document) == []


def test_faults_are_counted_up_to_a_limit():
    assert len(faults({"items": {"type": "null"}}, [1] * 1000)) == 20


def test_the_same_fault_is_told_once():
    assert len(faults({"allOf": [{"type": "null"}] * 3}, 1)) == 1


def test_verdicts_are_remembered():
    compiled = Compiled(b'{"type": "null"}')
    for number in range(100):
        compiled.remember(b"%d" % number, ())
    assert (compiled.known(b"99"), compiled.known(b"0")) == ((), None)


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({"$ref": "#"}, 1),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}, 1),
        (
            {
                "$ref": "#/$defs/0",
                "$defs": {
                    **{str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)},
                    "40": False,
                },
            },
            1,
        ),
        ({"items": {"enum": list(range(1000))}}, [999] * 1000),
        ({"patternProperties": {f"x{n}": {} for n in range(500)}}, {f"y{n}": 1 for n in range(500)}),
        ({"items": {"uniqueOrigins": "a"}}, [[{}] * 1000] * 100),
    ],
)
def test_endless_work_is_given_up(schema, document):
    fitness.check(json.dumps(schema).encode())
    with pytest.raises(Exhausted):
        faults(schema, document)


def test_patterns_and_twins_take_linear_time():
    """With Python's patterns, or every item compared with every other, these would not end."""
    assert faults({"pattern": "^(a+)+$"}, "a" * 100_000 + "b")
    assert faults({"uniqueItems": True}, [{"a": number} for number in range(20_000)] * 2)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"ratio": 7}, "/ratio"),
        ({"ratoi": 1}, "/ratoi"),
        ({"stable": {"servers": [{}]}}, "/stable/servers/0/url"),
        ({"stable": {"servers": [{"url": "http://a"}, {"url": "http://A:80"}]}}, "/stable/servers/1/url"),
        ({"update_rate": "61m"}, "/update_rate"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "/trusted_proxies/0"),
    ],
)
def test_the_proxy_s_own_schema(change, pointer):
    fitness.check((ROOT / "config/schema.json").read_bytes())
    assert faults(CONFIG, GOOD) == []
    assert [where for where, _ in faults(CONFIG, GOOD | change)] == [pointer]


NAMES = st.sampled_from(["a", "b", "a/b", "$ref"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])


def keywords(inner):
    several = st.lists(inner, min_size=1, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, max_size=3),
            "const": VALUES,
            "minimum": st.integers(-3, 3),
            "exclusiveMaximum": st.integers(-3, 3),
            "multipleOf": st.sampled_from([1, 2, 0.5]),
            "maxLength": st.integers(0, 3),
            "pattern": st.sampled_from(["^a", "b$", "ab?"]),
            "items": inner,
            "prefixItems": several,
            "contains": inner,
            "minContains": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
            "additionalProperties": inner,
            "propertyNames": inner,
            "required": st.lists(NAMES, max_size=2, unique=True),
            "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
            "allOf": several,
            "anyOf": several,
            "oneOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "$ref": st.sampled_from(["#", "#/properties/a", "#/allOf/0", "#/enum/0"]),
        },
    )


SCHEMAS = st.recursive(st.booleans() | keywords(st.booleans()), keywords, max_leaves=6)


@given(SCHEMAS, VALUES)
@settings(deadline=None, max_examples=150)
def test_the_verdict_is_jsonschema_s_own(schema, document):
    """Where there is one. Whatever the schema: it is refused, gives a verdict, or is given up."""
    try:
        fitness.check(json.dumps(schema).encode())
        found = faults(schema, document, 1000)
    except (KvError, Exhausted):
        return
    assert (not found) == jsonschema.Draft202012Validator(schema).is_valid(document)


@given(VALUES, VALUES)
@settings(deadline=None, max_examples=50)
def test_anything_is_a_schema_or_refused(schema, document):
    with suppress(KvError, Exhausted):
        fitness.check(json.dumps(schema).encode())
        faults(schema, document)
