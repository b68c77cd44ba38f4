"""Names and values in etcd."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kv.engine.etcd.layout import Envelope, Foreign, Layout, decode
from kv.engine.etcd.messages import Pair
from kv.model import SCHEMAS, Meta

LAYOUT = Layout("/serin")
TEXT = st.text(max_size=30)
ENVELOPES = st.builds(
    Envelope,
    number=st.integers(0, 10**12),
    meta=st.builds(Meta, TEXT, TEXT, st.floats(0, 4e9)),
    nonce=st.text("0123456789abcdef", max_size=16),
    value=st.none() | st.binary(max_size=200) | st.just(b'{"a": ",\\"val\\":"}'),
    ttl=st.none() | st.floats(1, 86_400),
)


@given(ENVELOPES)
def test_an_envelope_comes_back_as_it_was(envelope):
    assert decode(envelope.encode()) == envelope


@pytest.mark.parametrize("mark", [',"val":', '"', "\\", '\\",\\"val\\":', ",val:", "}\n"])
def test_what_people_write_is_not_taken_for_the_value(mark):
    envelope = Envelope(1, Meta(mark, mark, 0.0), "n", b'{"x": 1}')
    assert decode(envelope.encode()) == envelope


def test_an_envelope_is_json_that_people_can_read():
    raw = Envelope(3, Meta("ann", "für alle", 1.5), "n0", b'{"ratio": 0.1}').encode()
    assert raw == (
        '{"ver":3,"ts":1.5,"author":"ann","note":"für alle","nonce":"n0","val":{"ratio": 0.1}}'.encode()
    )
    assert json.loads(raw)["val"] == {"ratio": 0.1}
    assert "val" not in json.loads(Envelope(4, Meta(), "n1", None).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"1",
        b"\xff",
        b'{"ratio": 1}',
        b'{"ver":"x","ts":0,"author":"","note":"","nonce":""}',
    ],
)
def test_what_others_wrote_is_foreign(raw):
    with pytest.raises(Foreign):
        decode(raw)


@given(st.binary(max_size=60))
def test_whatever_it_is_it_is_an_envelope_or_foreign(raw):
    with suppress(Foreign):
        decode(raw)


def test_where_things_are():
    assert LAYOUT.kept("a/b") == b"/serin/k/a/b"
    assert LAYOUT.passing("a/b") == b"/serin/t/a/b"
    assert LAYOUT.version("a/b", 7) == b"/serin/h/a/b/000000000007"
    assert Layout("").kept("a") == b"/k/a"


def test_what_is_followed():
    followed = [
        raw in LAYOUT.followed for raw in (LAYOUT.kept("a"), LAYOUT.passing("a"), LAYOUT.version("a", 1))
    ]
    assert followed == [True, True, False]
    assert all(raw in LAYOUT.all for raw in (LAYOUT.kept("a"), LAYOUT.passing("~"), LAYOUT.version("a", 1)))
    assert b"/serin2/k/a" not in LAYOUT.all


@pytest.mark.parametrize("key", ["a", "a/b", "~", SCHEMAS, SCHEMAS + "a/", SCHEMAS + "a/b"])
def test_names_come_back(key):
    assert LAYOUT.name(LAYOUT.kept(key)) == (key, True)
    assert LAYOUT.name(LAYOUT.passing(key)) == (key, False)
    assert (LAYOUT.kept_name(LAYOUT.kept(key)), LAYOUT.kept_name(LAYOUT.passing(key))) == (key, None)


@pytest.mark.parametrize(
    "raw", [b"/serin/k/", b"/serin/k/a//b", b"/serin/k/\xff", b"/serin/m/a", b"/serin/k/../a", b"/serin/k/a/"]
)
def test_names_that_are_none_of_ours(raw):
    with pytest.raises(Foreign):
        LAYOUT.name(raw)
    assert LAYOUT.kept_name(raw) is None


@pytest.mark.parametrize(
    ("raw", "envelope"),
    [
        (LAYOUT.kept("a"), Envelope(1, Meta(), "", b"1", 30.0)),
        (LAYOUT.passing("a"), Envelope(1, Meta(), "", b"1")),
        (LAYOUT.passing("a"), Envelope(1, Meta(), "", None, 30.0)),
    ],
)
def test_values_in_the_wrong_place(raw, envelope):
    with pytest.raises(Foreign):
        LAYOUT.item(Pair(raw, envelope.encode(), 1))


def test_versions_of_a_key_are_told_from_those_of_keys_that_look_like_them():
    span = LAYOUT.versions("a", 1, 9)
    mine, other = LAYOUT.version("a", 5), LAYOUT.version("a/000000000005", 5)
    assert (mine in span, other in span) == (True, True)
    assert (LAYOUT.is_version("a", mine), LAYOUT.is_version("a", other)) == (True, False)
    assert LAYOUT.version("a", 10) not in span
    assert LAYOUT.version("a/000000000009", 1) not in span


@pytest.mark.parametrize(
    ("topic", "inside", "outside"),
    [
        ("a", ["a"], ["a/b", "aa"]),
        ("a/", ["a/b", "a/b/c"], ["a", "a.b", "b"]),
        ("", ["a", SCHEMAS + "a"], []),
    ],
)
def test_topics(topic, inside, outside):
    kept, passing = LAYOUT.spans(topic)
    for key in inside:
        assert LAYOUT.kept(key) in kept
        assert LAYOUT.passing(key) in passing
    for key in outside:
        assert LAYOUT.kept(key) not in kept
