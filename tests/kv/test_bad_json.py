"""Bad JSON of every kind, by every way it may come in: 400, where it is, and nothing written."""

from __future__ import annotations

import re

import pytest

from tests.support.kv_helpers import problem

DIGITS = b"1" * 5000
# What is wrong, and where the answer has to say that it is: a pointer in `errors`, or line, column or byte in words.
BAD = {
    "empty": (b"", "empty"),
    "blank": (b" \n ", "empty"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "at byte 0"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "at byte 0"),
    "not UTF-8": (b'{"a": "\xff"}', "at byte 7"),
    "a surrogate in UTF-8": (b'{"a": "\xed\xa0\x80"}', "at byte 7"),
    "cut": (b'{\n"a": [1', "line 2 column 8"),
    "two values": (b"{} {}", "line 1 column 4"),
    "a comma too many": (b"[1,]", "line 1 column"),
    "single quotes": (b"{'a': 1}", "line 1 column 2"),
    "a comment": (b"{} // x", "line 1 column 4"),
    "a control character": (b'{"a": "\x01"}', "line 1 column 8"),
    "a leading zero": (b"[01]", "line 1 column 3"),
    "prose": (b"ratio=0.5", "line 1 column 1"),
    "NaN": (b'{"a": {"b": NaN}}', "/a/b"),
    "Infinity": (b"[1, Infinity]", "/1"),
    "-Infinity": (b"-Infinity", ""),
    "a float beyond a double": (b'{"a": 1e400}', "/a"),
    "too many digits": (b'{"a": [' + DIGITS + b"]}", "/a/0"),
    "a name twice": (b'{"x": {"a": 1, "b": 2, "a": 3}}', "/x/a"),
    "a name twice, escaped": (b'{"a": 1, "\\u0061": 3}', "/a"),
    "half a surrogate pair": (b'{"a": ["\\ud800"]}', "/a/0"),
    "half a pair in a name": (b'{"a": {"\\udc00": 1}}', "/a"),
    "65 levels": (b"[" * 65 + b"]" * 65, "/0" * 64),
    "60,000 levels": (b"[" * 60_000 + b"]" * 60_000, "at line 1 column 65"),
    "20,000 levels of objects": (b'{"a":\n' * 20_000, "at line 65 column 1"),
    "deep after brackets in a text": (b'["[[[[\\"[", ' + b"[" * 100_000, "at line 1 column 76"),
}
WAYS = {
    "PUT": ("PUT", "/v1/kv/a", "application/json"),
    "POST": ("POST", "/v1/kv/a", "application/x-www-form-urlencoded"),
    "PATCH": ("PATCH", "/v1/kv/a", "application/merge-patch+json"),
    "JSON Patch": ("PATCH", "/v1/kv/a", "application/json-patch+json"),
    "transaction": ("POST", "/v1/txn", "application/json"),
    "schema": ("PUT", "/v1/schema/a", "application/json"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BAD)
def test_is_refused_with_where(http, store, kind, way):
    raw, where = BAD[kind]
    method, path, content_type = WAYS[way]
    http.put("/v1/kv/a", data=b"[1]")
    response = http.open(path, method=method, data=raw, content_type=content_type)
    if not raw:
        assert response.status_code in (400, 411)
        return
    told = problem(response)
    assert (response.status_code, told["type"]) == (400, "/problems/bad-json")
    places = [fault["pointer"] for fault in told.get("errors", ())]
    assert where in places or re.search(rf"{re.escape(where)}\b", told["detail"]), told
    assert (http.get("/v1/kv/a").data, store.revision) == (b"[1]", 1)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "schema"])
def test_huge_is_refused(http, store, way):
    method, path, content_type = WAYS[way]
    response = http.open(path, method=method, data=b"[" + b"1," * 300_000 + b"1]", content_type=content_type)
    assert (problem(response)["status"], store.revision) == (413, 0)


@pytest.mark.parametrize(
    "raw", [b"[" * 64 + b"]" * 64, b'"\\ud83d\\ude00"', b"1e308", b"1" * 4000, b'{"a": {"a": 1}}']
)
def test_what_is_just_allowed(http, raw):
    assert http.put("/v1/kv/a", data=raw).status_code == 201
    assert http.get("/v1/kv/a").data == raw
