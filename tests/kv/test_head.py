"""Request heads: what is let in, and that nothing else raises anything but BadHead."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv import head
from kv.head import BadHead

HOST = b"Host: x\r\n"


def parse(start=b"GET / HTTP/1.1", fields=HOST):
    return head.parse(start + b"\r\n" + fields)


@pytest.mark.parametrize(
    ("start", "fields", "status"),
    [
        (b"GET / HTTP/1.1", b"", 400),
        (b"GET / HTTP/1.1", HOST + HOST, 400),
        (b"GET / HTTP/2.0", HOST, 400),
        (b"GET / HTTP/0.9", HOST, 400),
        (b"GET /", HOST, 400),
        (b"GET  / HTTP/1.1", HOST, 400),
        (b"GET x HTTP/1.1", HOST, 400),
        (b"G(T / HTTP/1.1", HOST, 400),
        (b"GET /\xe4 HTTP/1.1", HOST, 400),
        (b"GET / HTTP/1.1", HOST + b"A : b\r\n", 400),
        (b"GET / HTTP/1.1", HOST + b" folded\r\n", 400),
        (b"GET / HTTP/1.1", HOST + b"A: b\x00\r\n", 400),
        (b"GET / HTTP/1.1", HOST + b"A: b\rc\r\n", 400),
        (b"GET / HTTP/1.1", HOST + b"no colon\r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Content-Length: +1\r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Content-Length: 1, 1\r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Content-Length: \r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"PUT / HTTP/1.0", b"Transfer-Encoding: chunked\r\n", 400),
        (b"PUT / HTTP/1.1", HOST + b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"GET / HTTP/1.1", HOST + b"A: b\r\n" * 100, 431),
    ],
)
def test_refused(start, fields, status):
    with pytest.raises(BadHead) as caught:
        parse(start, fields)
    assert (caught.value.status, bool(caught.value.detail)) == (status, True)


def test_a_plain_head():
    parsed = parse(b"PUT /a?b=%20 HTTP/1.1", HOST + b"Content-Length: 12\r\nX-A: 1\r\nx-a:\t2 \r\n")
    assert (parsed.method, parsed.target, parsed.version, parsed.length) == ("PUT", "/a?b=%20", "1.1", 12)
    assert (parsed.fields["x-a"], parsed.chunked, parsed.closes) == ("1, 2", False, False)


@pytest.mark.parametrize(
    ("start", "fields", "closes"),
    [
        (b"GET / HTTP/1.1", b"Connection: close\r\n", True),
        (b"GET / HTTP/1.1", b"Connection: x, Close\r\n", True),
        (b"GET / HTTP/1.1", b"Connection: keep-alive\r\n", False),
        (b"GET / HTTP/1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_when_a_connection_ends(start, fields, closes):
    assert parse(start, HOST + fields).closes is closes


@pytest.mark.parametrize(
    ("target", "path"), [(b"http://h:1/a?b", "/a?b"), (b"HTTP://h:1", "/"), (b"http://h:1?b", "/?b")]
)
def test_the_absolute_form_names_the_host(target, path):
    parsed = parse(b"GET %b HTTP/1.1" % target)
    assert (parsed.target, parsed.fields["host"]) == (path, "h:1")


@pytest.mark.parametrize("data", [b"G", b"GET", b"GET /x HT", b"\r\nGET", b"M-SEARCH * HTTP/1.1\r\n\xff"])
def test_what_may_still_become_a_request(data):
    assert head.can_begin(data)


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"\x00", b" GET", b"{", b"A" * 33])
def test_what_cannot(data):
    assert not head.can_begin(data)


@settings(deadline=None)
@given(st.binary() | st.binary().map(lambda tail: b"GET / HTTP/1.1\r\nHost: x\r\n" + tail))
def test_any_bytes_are_a_head_or_a_clear_no(raw):
    with contextlib.suppress(BadHead):
        assert head.parse(raw).method


@given(
    st.lists(st.sampled_from([b"GET / HTTP/1.1", b"A: b", b"\r\n", b"\n", b"\r", b"\r\n\r\n"])).map(b"".join)
)
def test_a_head_that_is_there_ends_where_it_does_line_by_line(data):
    begins = data[:1] not in (b"\r", b"\n")
    assert head.ends(data) == (line_by_line(data) if begins else (0, 0))


def line_by_line(data):
    taken = 0
    for line in io.BytesIO(data):
        if line in (b"\r\n", b"\n"):
            return taken, taken + len(line)
        taken += len(line)
    return 0, 0
