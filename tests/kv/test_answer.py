"""What is answered, byte by byte."""

from __future__ import annotations

import json

import pytest

from kv import answer
from kv.model import Commit, Meta, Result, make_item


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1764093600.25, "2025-11-25T18:00:00.250Z"),
        (1764093600.123, "2025-11-25T18:00:00.123Z"),
        (1764093600.9994, "2025-11-25T18:00:00.999Z"),
        (1764093600.9999998, "2025-11-25T18:00:01.000Z"),
    ],
)
def test_times_are_in_milliseconds(seconds: float, text: str) -> None:
    assert answer.time(seconds) == text


@pytest.mark.parametrize("ttl", [None, 30.0, 1.5])
@pytest.mark.parametrize("value", [b"{}", None])
def test_what_came_of_a_write_is_json(value: bytes | None, ttl: float | None) -> None:
    item = make_item("a/b~c", value, 3, 42, Meta("ann", "", 1764093600.25), ttl=ttl)
    told = {
        "key": "a/b~c",
        "revision": 42,
        "etag": item.version.etag,
        "version": 3,
        "changed": True,
        "modified": "2025-11-25T18:00:00.250Z",
    } | ({} if ttl is None else {"ttl": ttl})
    results = (Result(item, changed=True), Result(item, changed=True))
    assert json.loads(answer.written(results[0]).body) == told
    assert json.loads(answer.committed(Commit(42, results)).body) == {"revision": 42, "results": [told, told]}
