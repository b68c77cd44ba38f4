"""Bytes nobody meant: accepted or refused with an error of ours, in one pass, and whatever the pieces."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import WireError
from app.wire.body import request_framing
from app.wire.forward import request_head, response_head
from app.wire.head import parse_request, parse_response
from tests.wire.heads import fate, get, head, parse, refusal, request, response_fate

PIECES = [
    b"GET", b"POST", b"OPTIONS", b"CONNECT", b"HEAD", b" ", b"\t", b"/", b"*", b"http://h", b"?", b"#", b" HTTP/1.1",
    b" HTTP/1.0", b"\r\n", b"\r", b"\n", b":", b"Host: a\r\n", b"Host:", b"Content-Length: 1\r\n", b"Content-Length:",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:", b"chunked", b"Connection: x, host\r\n", b"X: y\r\n",
    b"1", b",", b"\0", b"\xff", b"Cookie: a=b\r\n", b"X-Request-ID: r\r\n", b"a" * 300,
]  # fmt: skip
GOOD = head(
    b"POST /p?q HTTP/1.1", b"Host: a", b"X: y", b"Connection: x, close", b"Cookie: a=b", b"Content-Length: 3"
)

noise = st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join)
nearly_good = st.tuples(st.integers(0, len(GOOD)), st.integers(0, 3), st.sampled_from(PIECES)).map(
    lambda cut: GOOD[: cut[0]] + cut[2] + GOOD[cut[0] + cut[1] :]
)
status_lines = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 204\r\n", b"HTTP/1.1 ", b""])


@settings(deadline=None, max_examples=500)
@given(noise | nearly_good | st.binary(max_size=60))
def test_what_is_accepted_goes_on_as_one_request_that_is_accepted_again(data):
    refused = fate(data)
    if refused is not None:
        assert refused[0] in (400, 405, 414, 431, 501, 505)
        return
    parsed = parse(data)
    if parsed is None:
        return
    sent = request_head(parsed, b"Via: 1.1 serin\r\n", b"id", b"server")
    again = parse_request(sent, 10**5, 10**5, 1000)
    assert again is not None
    assert again.size == len(sent)
    assert (again.method, again.target, again.framing) == (parsed.method, parsed.target, parsed.framing)
    assert again.header(b"connection") is None


@settings(deadline=None, max_examples=300)
@given(noise | nearly_good)
def test_what_is_refused_is_refused_however_far_it_has_come(data):
    """A beginning may be good and its end bad, but never the other way round."""
    fates = [fate(data[:end]) for end in range(len(data) + 1)]
    refused = [index for index, each in enumerate(fates) if each]
    if refused:
        assert all(fates[refused[0] :])


@settings(deadline=None, max_examples=300)
@given(status_lines, noise, st.sampled_from([b"GET", b"HEAD"]))
def test_responses(line, noise, method):
    refused = response_fate(line + noise, method)
    if refused is not None:
        assert refused[0] == 502
    elif (parsed := parse_response(line + noise, method, 4096)) is not None:
        relayed = response_head(parsed, request(get()), True, None)
        assert parse_response(relayed, method, 10**5).size == len(relayed)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=25), max_size=3), st.lists(st.binary(max_size=25), max_size=3))
def test_framing_is_a_number_or_an_error(lengths, codings):
    refused = refusal(lambda: request_framing(1, lengths, codings))
    if refused is not None:
        assert refused[0] in (400, 501)
        return
    framing = request_framing(1, lengths, codings)
    plain = [b"%d" % framing] == [re.sub(rb"^0+(?=.)", b"", length) for length in lengths]
    assert plain or (not lengths and framing <= 0)


NASTY = {
    "spaces in a name": lambda size: b"GET / HTTP/1.1\r\nA" + b" " * size + b"\r\n",
    "tabs in a begun name": lambda size: b"GET / HTTP/1.1\r\nA" + b"\t" * size,
    "a long name": lambda size: b"GET / HTTP/1.1\r\n" + b"a" * size + b"\r\n",
    "colons": lambda size: b"GET / HTTP/1.1\r\nA" + b" :" * (size // 2) + b"\r\n",
    "bare CR": lambda size: b"GET / HTTP/1.1\r\nA:" + b"\r" * size + b"\r\n",
    "many short fields": lambda size: b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (size // 4),
    "a long method": lambda size: b"A" * size,
    "a long target": lambda size: b"GET /" + b"a" * size,
    "options of Connection": lambda size: get(
        b"Connection: " + b",".join(b"%x" % n for n in range(size // 5))
    ),
    "commas": lambda size: get(b"Connection: " + b"," * size),
    "codings": lambda size: get(b"Transfer-Encoding: " + b"," * size),
    "an absolute-form": lambda size: get(target=b"http://" + b"a" * size),
    "a long Host": lambda size: head(b"GET / HTTP/1.1", b"Host: " + b"a." * (size // 2)),
    "percents in Host": lambda size: head(b"GET / HTTP/1.1", b"Host: " + b"%" * size),
    "a long cookie": lambda size: get(b"Cookie: " + b"; " * (size // 2)),
}


@pytest.mark.parametrize("shape", NASTY.values(), ids=NASTY)
def test_a_megabyte_of_anything_is_judged_in_one_pass(shape):
    """Nothing is timed: work that grew with the square of the length would simply take minutes."""
    with contextlib.suppress(WireError):
        parsed = parse_request(shape(1024 * 1024), 10**7, 10**7, 10**7)
        if parsed is not None:
            request_head(parsed, b"", b"", b"server")
            parsed.cookie(b"serin")
