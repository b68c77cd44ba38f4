from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import strict_json


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value at line 1, column 1"),
        (b'{\n "ratio": }', "Expecting value at line 2, column 11"),
        (b"{} {}", "Extra data at line 1, column 4"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b'{"a": {"ratio": 1, "ratio": 2}}', '"ratio" stands twice'),
        (b'{"a": 1, "\\u0061": 2}', '"a" stands twice'),
        (b"1" * 5000, "more than 1000 digits"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_says_where_it_goes_wrong(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        strict_json.loads(raw)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@settings(deadline=None, max_examples=50)
def test_reads_what_json_writes(value: object) -> None:
    assert strict_json.loads(json.dumps(value).encode()) == value


@given(st.binary())
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        strict_json.loads(raw)
    except ValueError as fault:
        text = str(fault)
    else:
        return
    assert text
