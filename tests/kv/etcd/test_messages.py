"""etcd's JSON, as its gateway writes and reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kv.engine.etcd import messages
from kv.engine.etcd.messages import Newest, Pair, Span

NAME = "L2EvYg=="  # /a/b


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (messages.look(Span(b"/a/b")), {"key": NAME}),
        (
            messages.look(Span(b"/a/b", b"/a/c"), limit=2, at=7),
            {"key": NAME, "range_end": "L2EvYw==", "limit": "2", "revision": "7"},
        ),
        (
            messages.look(Span(b"/a/b"), written_at=9),
            {"key": NAME, "min_mod_revision": "9", "max_mod_revision": "9"},
        ),
        (messages.look_for_newest(Span(b"/a/b")), {"key": NAME, "keys_only": True}),
        (messages.put(b"/a/b", b"\xff"), {"request_put": {"key": NAME, "value": "/w=="}}),
        (messages.put(b"/a/b", b"", 5), {"request_put": {"key": NAME, "value": "", "lease": "5"}}),
        (messages.delete(Span(b"/a/b")), {"request_delete_range": {"key": NAME}}),
        (
            messages.unchanged(b"/a/b", 0),
            {"key": NAME, "target": "MOD", "result": "EQUAL", "mod_revision": "0"},
        ),
        (
            messages.none_since(Span(b"/a/b"), 7),
            {"key": NAME, "target": "MOD", "result": "LESS", "mod_revision": "8"},
        ),
    ],
)
def test_requests(built, expected):
    assert built == expected
    json.dumps(built)


def test_a_range_holds_what_begins_with_its_prefix():
    span = messages.under(b"/a/")
    assert (span.first, span.end) == (b"/a/", b"/a0")
    assert [key in span for key in (b"/a/", b"/a/\xff", b"/a", b"/a0")] == [True, True, False, False]


def test_a_span_of_one_key_holds_no_other():
    assert [key in Span(b"/a") for key in (b"/a", b"/a/", b"/")] == [True, False, False]


def test_zero_fields_may_be_left_out():
    assert messages.pairs({"kvs": [{"key": NAME}]}) == [Pair(b"/a/b", b"", 0, 0)]
    assert messages.pairs({}) == []
    assert messages.newest({"header": {}}) == Newest(0, 0)
    assert messages.revision({}) == 0
    assert messages.ranges({"succeeded": True}) == []
    assert list(messages.changes({"created": True})) == []


def test_numbers_are_texts():
    answer = {"kvs": [{"key": NAME, "value": "eA==", "mod_revision": "9223372036854775807", "lease": "12"}]}
    assert messages.pairs(answer) == [Pair(b"/a/b", b"x", 2**63 - 1, 12)]


def test_events_are_puts_unless_they_say_otherwise():
    pair = {"key": NAME, "mod_revision": "3"}
    told = list(messages.changes({"events": [{"kv": pair}, {"type": "DELETE", "kv": pair}]}))
    assert [change.deleted for change in told] == [False, True]


@given(st.binary(max_size=50), st.binary(max_size=200))
def test_bytes_go_through(key, value):
    put = messages.put(key, value)["request_put"]
    assert messages.pairs({"kvs": [put]})[0].value == value


@given(st.lists(st.binary(max_size=500), max_size=4))
def test_the_size_is_no_less_than_what_is_sent(values):
    puts = [messages.put(b"k", value) for value in values]
    assert sum(map(len, values)) <= messages.size([*puts, messages.delete(Span(b"k"))])
