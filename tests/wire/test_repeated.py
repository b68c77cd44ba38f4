"""Whatever is read as a repetition means what it means by itself."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import WireError
from app.wire.head import Request, parse_request
from app.wire.repeated import FieldLines
from tests.corpus.cases import load

LIMITS = (2048, 200, 20)
FIELDS = (
    b"Host: a\r\nCookie: b=c; d_e=f\r\nConnection: keep-alive, x-g\r\nX-G: 1\r\nX_H: 2\r\n"
    b"X-Forwarded-For: 1.2.3.4\r\nX-Request-ID: mine\r\nUser-Agent: i\r\n\r\n"
)
LINES = [
    b"GET / HTTP/1.1\r\n",
    b"HEAD /a?b=c HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"GET / HTTP/1.2\r\n",
    b"GET / HTTP/2.0\r\n",
    b"CONNECT /a HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET http://b/ HTTP/1.1\r\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET /%b HTTP/1.1\r\n" % (b"x" * 200),
    b"\r\nGET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nX: y\r\n",
    b"GET / HTTP/1.1\n",
    b"\r\n",
    b"",
]
PLAIN = LINES[:3]


def known(data: bytes) -> FieldLines | None:
    former = parse_request(data, *LIMITS)
    assert former is not None
    return FieldLines.of(former, data, *LIMITS[:2])


def by_itself(data: bytes) -> Request | None:
    try:
        return parse_request(data, *LIMITS)
    except WireError:
        return None


def check(lines: FieldLines, data: bytes) -> bool:
    """Is it read as a repetition? Then it means the same."""
    request = lines.again(data)
    if request is not None:
        alone = by_itself(data)
        assert alone is not None
        assert asdict(request) == asdict(alone)
    return request is not None


@pytest.mark.parametrize("line", LINES)
def test_only_a_plain_request_line_makes_a_repetition(line):
    lines = known(LINES[0] + FIELDS)
    assert lines is not None
    assert check(lines, line + FIELDS) is (line in PLAIN)


def test_what_follows_makes_it_no_repetition():
    lines = known(LINES[0] + FIELDS)
    assert lines is not None
    assert lines.again(LINES[0] + FIELDS + b"x") is None
    assert lines.again(LINES[0] + FIELDS[:-1]) is None
    assert lines.again((LINES[0] + FIELDS) * 2) is None


def test_an_id_of_ours_is_not_repeated():
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    former = parse_request(data, *LIMITS)
    assert former is not None
    lines = FieldLines.of(former, data, *LIMITS[:2])
    former.request_id = b"ours"
    assert lines is not None
    again = lines.again(data)
    assert again is not None
    assert again.request_id == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_more_than_its_field_lines_has_made_is_not_remembered(data):
    assert known(data) is None


def test_one_request_of_the_corpus_never_changes_what_the_next_means():
    whole = [case.client for case in load() if by_itself(case.client) is not None]
    remembered = [lines for data in whole if (lines := known(data)) is not None]
    assert len(remembered) > 100
    for lines in remembered:
        for case in load():
            check(lines, case.client)


@given(st.binary(max_size=40), st.integers(0, len(FIELDS)), st.binary(max_size=3))
def test_whatever_is_read_as_a_repetition_means_the_same(line, at, inserted):
    lines = known(LINES[0] + FIELDS)
    assert lines is not None
    check(lines, line + FIELDS)
    check(lines, LINES[0] + FIELDS[:at] + inserted + FIELDS[at:])
    check(lines, b"GET /" + line + b" HTTP/1.1\r\n" + FIELDS)
