"""Merge patches, and what differs between two documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.merge import ABSENT, differences, merged

DOCUMENTS = st.recursive(
    st.integers(0, 3) | st.text("ab~/", max_size=2) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, None, None),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_as_the_appendix_of_rfc_7396_has_it(target, patch, expected):
    assert merged(target, patch) == expected


def test_what_differs_is_told_in_its_smallest_members():
    before = {"ratio": 0.1, "retry": {"attempts": 1, "on": []}, "old": 1}
    after = {"ratio": 0.1, "retry": {"attempts": 2, "on": ["502"]}, "a/b": {"c": 1}}
    assert list(differences(before, after)) == [
        ("/retry/attempts", 1, 2),
        ("/retry/on", [], ["502"]),
        ("/old", 1, ABSENT),
        ("/a~1b", ABSENT, {"c": 1}),
    ]


@given(DOCUMENTS, DOCUMENTS)
def test_nothing_differs_only_where_all_is_equal(before, after):
    assert (not list(differences(before, after))) == (before == after)
    assert not list(differences(before, before))
