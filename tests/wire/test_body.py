"""Bodies out of their framing: whatever the pieces they come in, the same payload and the same rest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import WireError
from app.wire.body import CHUNKED, LAST_CHUNK, MAX_TRAILERS, UNTIL_CLOSE, Decoder, chunk, decoder

Outcome = tuple[bytes, bytes, bool] | str

GOOD = {
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "no chunk": (b"0\r\n\r\n", b""),
    "many zeros": (b"0000000000000000\r\n\r\n", b""),
    "zeros before the size": (b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
    "hexadecimal of both cases": (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    "payload that looks like framing": (b"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n\r\n"),
    "extension": (b"1;a\r\nx\r\n0\r\n\r\n", b"x"),
    "extensions with values": (b'1;a=b;c="d;\\"\r"\r\nx\r\n0;e\r\n\r\n'.replace(b'\r"', b'"'), b"x"),
    "white space around an extension": (b"1 \t; a = b\r\nx\r\n0\r\n\r\n", b"x"),
    "trailers": (b"1\r\nx\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", b"x"),
}

BAD = {
    "no size": b"\r\nx",
    "no hexadecimal": b"g\r\n",
    "sign": b"+1\r\nx\r\n",
    "minus": b"-1\r\n",
    "0x": b"0x1\r\nx\r\n",
    "underscore": b"1_0\r\n",
    "17 digits": b"00000000000000001\r\nx\r\n",
    "space before": b" 1\r\nx\r\n",
    "space after": b"1 \r\nx\r\n",
    "bare LF": b"1\nx\r\n0\r\n\r\n",
    "bare CR": b"1\rx\r\n",
    "comma": b"1,1\r\n",
    "extension without a name": b"1;\r\nx\r\n",
    "extension with a control": b"1;a=\x01\r\nx\r\n",
    "extension with an open quote": b'1;a="b\r\nx\r\n',
    "extension with bare LF": b"1;a\nx\r\n0\r\n\r\n",
    "extension with bare CR": b"1;a\rb\r\nx\r\n",
    "size line too long": b"1;" + b"a" * 300 + b"\r\nx\r\n",
    "size line too long, begun": b"1;" + b"a" * 300,
    "more data than the size": b"1\r\nxy\r\n0\r\n\r\n",
    "bare LF after the data": b"1\r\nx\n0\r\n\r\n",
    "bare CR after the data": b"1\r\nx\r0\r\n\r\n",
    "NUL": b"1\0\r\nx\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer with space before the colon": b"0\r\nA : b\r\n\r\n",
    "trailer with a control": b"0\r\nA: \0\r\n\r\n",
    "trailer ended by bare LF": b"0\r\nA: b\n\r\n",
    "trailers ended by bare LF": b"0\r\n\n",
    "trailers too long": b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS // 6 + 1) + b"\r\n",
    "trailers too long, begun": b"0\r\nA: " + b"b" * MAX_TRAILERS,
}


def feed(body: Decoder, data: bytes, cuts: list[int]) -> Outcome:
    """Payload, rest and end of `data` in pieces; or why it is refused. What comes after the end is not fed."""
    payload = b""
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    try:
        for start, end in pairwise(places):
            payload += body.feed(data[start:end])
            if body.done:
                return payload, body.rest + data[end:], True
    except WireError as error:
        return error.reason
    return payload, body.rest, body.done


def every_way(data: bytes) -> Outcome:
    """The outcome of `data`, which is the same whole and byte by byte."""
    whole = feed(decoder(CHUNKED), data, [])
    assert feed(decoder(CHUNKED), data, list(range(len(data)))) == whole
    return whole


@pytest.mark.parametrize(("data", "payload"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("rest", [b"", b"\r\n", b"GET / HTTP/1.1\r\n", b"0\r\n\r\n"])
def test_chunked(data, payload, rest):
    assert every_way(data + rest) == (payload, rest, True)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_chunked_refuses(data):
    assert every_way(data) in ("bad_chunk", "bad_trailers")


@pytest.mark.parametrize("data", [data for data, _ in GOOD.values()], ids=GOOD)
def test_a_chunked_body_cut_short_is_not_whole(data):
    for end in range(len(data)):
        body = decoder(CHUNKED)
        body.feed(data[:end])
        assert not body.end()


def test_trailers_may_fill_their_limit():
    line = b"A: b\r\n"
    data = b"0\r\n" + line * ((MAX_TRAILERS - 2) // len(line)) + b"\r\n"
    assert every_way(data) == (b"", b"", True)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40)), st.binary(max_size=10), st.lists(st.integers(0, 400)))
def test_any_cut_gives_the_same(pieces, rest, cuts):
    data = b"".join(map(chunk, pieces)) + LAST_CHUNK + rest
    assert feed(decoder(CHUNKED), data, cuts) == (b"".join(pieces), rest, True)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(
        st.sampled_from([b"0", b"1", b"a", b"\r\n", b"\r", b"\n", b";", b"x", b"=", b'"', b":", b" ", b"\0"])
    )
)
def test_whatever_comes_the_pieces_do_not_matter(tokens):
    every_way(b"".join(tokens))


@settings(deadline=None)
@given(st.integers(0, 50), st.binary(max_size=80), st.lists(st.integers(0, 80)))
def test_sized(size, data, cuts):
    body = decoder(size)
    assert body.done is (size == 0)
    if size:
        assert feed(body, data, cuts) == (data[:size], data[size:], len(data) >= size)
        assert body.end() is (len(data) >= size)


def test_until_close_is_whole_when_the_connection_ends():
    body = decoder(UNTIL_CLOSE)
    assert feed(body, b"abc", [1, 2]) == (b"abc", b"", False)
    assert body.end()
    assert body.done
