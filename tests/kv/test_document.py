"""Strict JSON, merge patches, and the grammar of keys."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv import document
from kv.errors import BadDocument, BadKey
from kv.model import check_key, check_prefix, prefixes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth):
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark at byte 0"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'{"a": NaN}', "NaN is not JSON, at /a"),
        (b"[1, -Infinity]", "-Infinity is not JSON, at /1"),
        (b'{"a": {"b": 1, "b": 1}}', "twice in its object, at /a/b"),
        (b'{"~/": {"x": 1, "x": 2}}', "at /~0~1/x"),
        (b'{"a": 1e999}', "too large for a double, at /a"),
        (b"[" + b"9" * 5000 + b"]", "too large for a double, at /0"),
        (b'{"a": "\\ud800"}', "half a surrogate pair in a string, at /a"),
        (b'{"a": {"\\udc00": 1}}', "half a surrogate pair in a name, at /a"),
        (nested(65), "more than 64 levels deep, at " + "/0" * 64),
        (nested(100_000), "more than 64 levels deep"),
        (b'{"a": 1,}', "at line 1 column 9"),
        (b'{\n "a": 01}', "at line 2 column 8"),
        (b"{'a': 1}", "at line 1 column 2"),
        (b'{"a": 1} x', "at line 1 column 10"),
        (b'{"a": "\t"}', "at line 1 column 8"),
        (b'{"a": 1', "at line 1 column 8"),
        (b"a=1&b=2", "at line 1 column 1"),
    ],
)
def test_what_is_refused_says_where(raw, told):
    with pytest.raises(BadDocument) as caught:
        document.parse(raw)
    assert told in caught.value.detail


def test_every_fault_is_listed():
    with pytest.raises(BadDocument) as caught:
        document.parse(b'{"a": NaN, "b": [1, Infinity]}')
    assert {fault["pointer"] for fault in caught.value.members["errors"]} == {"/a", "/b/1"}


@pytest.mark.parametrize(
    "raw", [nested(64), b"null", b'"\\ud83d\\ude00"', b" [1, 2] \n", "{'ü': 1}".encode().replace(b"'", b'"')]
)
def test_what_is_accepted(raw):
    assert document.parse(raw) == json.loads(raw)


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_a_document_or_a_clear_no(raw):
    with contextlib.suppress(BadDocument):
        assert document.parse(document.dump(document.parse(raw))) == json.loads(raw)


@settings(deadline=None)
@given(JSON)
def test_what_is_written_is_read(value):
    assert document.parse(document.dump(value)) == value


# RFC 7396, appendix A
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target, patch, result):
    assert document.merge(target, patch) == result


@settings(deadline=None)
@given(JSON, JSON)
def test_merging_twice_is_merging_once(target, patch):
    once = document.merge(target, patch)
    assert document.merge(once, patch) == once


@pytest.mark.parametrize(
    ("stored", "patch"), [(b'{"a":  1}', {"a": 1}), (b'{ "a": 1}', {"b": None}), (b"[ 1]", [1])]
)
def test_a_patch_that_changes_nothing_keeps_the_bytes(stored, patch):
    assert document.rewrite(stored, lambda value: document.merge(value, patch)) == stored


@pytest.mark.parametrize("patch", [{"a": True}, {"a": 1.0}])
def test_equal_for_python_is_not_the_same_json(patch):
    assert document.rewrite(b'{"a": 1}', lambda value: document.merge(value, patch)) != b'{"a": 1}'


@pytest.mark.parametrize("key", ["a", "canary/config", "A-z_0.9~", "...", ".a", "a/..b", "x" * 256])
def test_keys(key):
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", ".", "a/..", "./a", "a/../b", "ä", "a b", "a\n", "x" * 257]
)
def test_not_keys(key):
    with pytest.raises(BadKey):
        check_key(key)


@pytest.mark.parametrize(
    ("prefix", "good"), [("", True), ("a/", True), ("a/b/", True), ("a", False), ("/", False), ("../", False)]
)
def test_prefixes_end_with_a_slash(prefix, good):
    if good:
        assert check_prefix(prefix) == prefix
    else:
        with pytest.raises(BadKey):
            check_prefix(prefix)


def test_a_key_stands_under_its_prefixes():
    assert list(prefixes("a/b/c")) == ["", "a/", "a/b/"]
