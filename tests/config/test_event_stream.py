"""Events come out as the HTML Standard has them, however their bytes were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.event_stream import Event, EventStream

WHOLE = {
    "one line": (b"event: put\ndata: {}\nid: 1\n\n", [Event("put", b"{}", "1")]),
    "no event name": (b"data: a\n\n", [Event("message", b"a", "")]),
    "lines are joined": (b"data: {\ndata:  1}\n\n", [Event("message", b"{\n 1}", "")]),
    "no space after the colon": (b"data:a\nid:7\n\n", [Event("message", b"a", "7")]),
    "an id lasts": (
        b"id: 7\ndata: a\n\ndata: b\n\n",
        [Event("message", b"a", "7"), Event("message", b"b", "7")],
    ),
    "a name does not": (
        b"event: put\ndata: a\n\ndata: b\n\n",
        [Event("put", b"a", ""), Event("message", b"b", "")],
    ),
    "CR LF": (b"data: a\r\n\r\n", [Event("message", b"a", "")]),
    "comments": (b": 57\n\n:\ndata: a\n: b\n\n", [Event("message", b"a", "")]),
    "a field without colon": (b"data\n\n", [Event("message", b"", "")]),
    "unknown fields": (b"retry: 1000\nfoo: b\n\ndata: a\n\n", [Event("message", b"a", "")]),
    "an id with NUL is none": (b"id: 1\nid: 2\0\ndata: a\n\n", [Event("message", b"a", "1")]),
    "not ended": (b"data: a\n", []),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("data", "events"), WHOLE.values(), ids=WHOLE.keys())
def test_events_whole_and_byte_by_byte(data: bytes, events: list[Event]) -> None:
    assert EventStream().feed(data) == events
    stream = EventStream()
    assert [event for byte in data for event in stream.feed(bytes([byte]))] == events


@given(
    st.lists(st.binary(max_size=8).filter(lambda line: not set(line) & set(b"\r\n")), min_size=1), st.data()
)
def test_what_is_cut_anywhere_is_put_together(lines: list[bytes], data: st.DataObject) -> None:
    text = b"id: 3-a\nevent: put\n" + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
    cut = data.draw(st.integers(0, len(text)))
    stream = EventStream()
    assert stream.feed(text[:cut]) + stream.feed(text[cut:]) == [Event("put", b"\n".join(lines), "3-a")]
    assert stream.held == 0


def test_what_is_held_can_be_limited() -> None:
    stream = EventStream()
    stream.feed(b"data: 12345\ndata: 678")
    assert stream.held == len(b"12345") + len(b"data: 678")
