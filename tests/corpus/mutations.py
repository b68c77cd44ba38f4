"""Requests, and ways to spoil them: bytes, words and lines are turned, lost, doubled, swapped and put in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce

from hypothesis import strategies as st

from tests.corpus.cases import load

Parts = list[bytes]

# What is put in: field lines that frame, name or end a request, and anything that could part or end a line.
FIELDS = [
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Host, X\r\n",
    b"Connection: content-length, transfer-encoding\r\n", b"Expect: 100-continue\r\n", b"Expect: x\r\n",
    b"Upgrade: a\r\nConnection: Upgrade\r\n", b"Upgrade: h2c\r\n", b"X_Y: z\r\n", b"X: y\r\n", b"Trailer: X\r\n",
]  # fmt: skip
LINE_ENDS = [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r\n", b"\r\n ", b"XX", b""]
PIECES = [
    b"\r", b"\n", b"\0", b"\x0b", b"\x7f", b"\xa0", b" ", b"\t", b":", b",", b";", b'"', b"0", b"1", b"a", b"chunked",
    b"content-length:", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"HEAD", b"CONNECT", b"http://b", b"0\r\n\r\n",
    b"3\r\nabc\r\n", b"3;a=b\r\nabc\r\n", b"GET /in HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip

SPLITS: list[Callable[[bytes], Parts]] = [
    lambda data: [data[at : at + 1] for at in range(len(data))],
    lambda data: re.split(rb"(?<=[\r\n :,;=/])", data),
    lambda data: re.split(rb"(?<=\n)", data),
]


def replace(parts: Parts, at: int, _number: int, piece: bytes) -> Parts:
    return [*parts[:at], piece, *parts[at + 1 :]]


# Each gets the parts, a place among them, a number and a piece.
CHANGES: list[Callable[[Parts, int, int, bytes], Parts]] = [
    lambda parts, at, _number, piece: [*parts[:at], piece, *parts[at:]],
    replace,
    lambda parts, at, number, _piece: parts[:at] + parts[at + number :],
    lambda parts, at, number, _piece: parts[: at + number] + parts[at:],
    lambda parts, at, number, _piece: parts[:at] + parts[at + number :] + parts[at : at + number],
    lambda parts, at, _number, _piece: parts[:at] + parts[at : at + 2][::-1] + parts[at + 2 :],
    lambda parts, at, number, _piece: [*parts[:at], *map(flipper(1 << number), parts[at : at + 1]), *parts[at + 1 :]],
    lambda parts, at, _number, _piece: parts[:at],
]  # fmt: skip

Mutation = tuple[Callable[[bytes], Parts], Callable[[Parts, int, int, bytes], Parts], int, int, bytes]


def flipper(bit: int) -> Callable[[bytes], bytes]:
    return lambda part: bytes(byte ^ bit for byte in part)


def mutate(data: bytes, mutation: Mutation) -> bytes:
    split, change, place, number, piece = mutation
    parts = split(data)
    return b"".join(change(parts, place % (len(parts) + 1), number, piece))


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(chunks: Parts) -> bytes:
    whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % whole


_pieces = st.one_of(*map(st.sampled_from, (FIELDS, LINE_ENDS, PIECES)))
_payloads = st.binary(max_size=12) | _pieces
_bodies = st.just(b"\r\n") | _payloads.map(sized) | st.lists(_payloads, max_size=3).map(chunked)
_lines = st.sampled_from(
    [b"GET /g HTTP/1.1\r\n", b"POST /p HTTP/1.1\r\n", b"HEAD /h HTTP/1.1\r\n", b"PUT http://b/u HTTP/1.1\r\n"]
)
_fields = st.lists(st.sampled_from(FIELDS), max_size=1).map(b"".join)
_built = st.tuples(_lines, st.just(b"Host: a\r\n"), _fields, _bodies).map(b"".join)
_seeds = st.sampled_from([case.client for case in load() if not case.reason and len(case.client) < 500])

_valid = st.lists(_built | _seeds, min_size=1, max_size=3).map(b"".join)

_spoiled = st.tuples(
    st.sampled_from(SPLITS), st.sampled_from(CHANGES), st.integers(0, 2000), st.integers(0, 7), _pieces
)
# The spelling of a line's end decides over framing more often than anything else: it gets a share of its own.
_line_end_respelled = st.tuples(
    st.just(lambda data: re.split(rb"(\r\n)", data)),
    st.just(replace),
    st.integers(0, 50).map(lambda place: 2 * place + 1),
    st.just(0),
    st.sampled_from(LINE_ENDS),
)
_mutations = st.lists(_spoiled | _line_end_respelled, max_size=4)
mutated = st.builds(lambda data, changes: reduce(mutate, changes, data), _valid, _mutations)
