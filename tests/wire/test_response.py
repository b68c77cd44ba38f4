"""What is read from a response head, and what makes one refused."""

import pytest

from app.errors import WireError
from app.wire.body import CHUNKED, UNTIL_CLOSE
from app.wire.head import parse_response
from tests.wire.heads import HEAD_BYTES, head, response, response_fate

OK = b"HTTP/1.1 200 OK"

REFUSED = {
    "another protocol": (b"SSH-2.0-OpenSSH\r\n", "bad_status_line"),
    "HTTP/2": (b"HTTP/2 200\r\n", "bad_status_line"),
    "HTTP/2.0": (head(b"HTTP/2.0 200 OK"), "bad_status_line"),
    "small letters": (b"http/1.1 200 OK\r\n", "bad_status_line"),
    "empty line first": (b"\r\n" + head(OK), "bad_status_line"),
    "status of two digits": (head(b"HTTP/1.1 20 OK"), "bad_status_line"),
    "status of four digits": (head(b"HTTP/1.1 2000 OK"), "bad_status_line"),
    "status below 100": (head(b"HTTP/1.1 099 OK"), "bad_status_line"),
    "two spaces": (head(b"HTTP/1.1  200 OK"), "bad_status_line"),
    "control in the reason": (head(b"HTTP/1.1 200 O\x01K"), "bad_status_line"),
    "bare LF": (b"HTTP/1.1 200 OK\nA: b\n\n", "bad_status_line"),
    "obs-fold": (head(OK, b"A: b", b" c"), "obs_fold"),
    "space before the colon": (head(OK, b"A : b"), "space_before_colon"),
    "bare CR": (head(OK, b"A: b\rc"), "bad_value"),
    "NUL": (head(OK, b"A: \0"), "bad_value"),
    "bare LF ends a field": (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", "bare_lf"),
    "sign": (head(OK, b"Content-Length: +3"), "bad_length"),
    "two lengths": (head(OK, b"Content-Length: 3", b"Content-Length: 4"), "bad_length"),
    "bad length of no body": (head(b"HTTP/1.1 304 Not Modified", b"Content-Length: x"), "bad_length"),
    "both framings": (head(OK, b"Content-Length: 3", b"Transfer-Encoding: chunked"), "length_and_coding"),
    "unknown coding": (head(OK, b"Transfer-Encoding: gzip"), "unknown_coding"),
    "two codings": (head(OK, b"Transfer-Encoding: gzip, chunked"), "bad_coding"),
    "coding in 1.0": (head(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked"), "coding_in_1_0"),
    "head too large": (head(OK, b"A: " + b"b" * 5000), "head_too_large"),
    "head too large, begun": (head(OK, b"A: " + b"b" * 5000)[:-4], "head_too_large"),
    "status line without an end": (OK + b"k" * 5000, "head_too_large"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses(data, reason):
    assert response_fate(data) == (502, reason)


@pytest.mark.parametrize(
    ("line", "fields", "method", "framing"),
    [
        (OK, [], b"GET", UNTIL_CLOSE),
        (OK, [b"Content-Length: 5"], b"GET", 5),
        (OK, [b"Transfer-Encoding: chunked"], b"GET", CHUNKED),
        (OK, [b"Content-Length: 5"], b"HEAD", 0),
        (OK, [b"Transfer-Encoding: chunked"], b"HEAD", 0),
        (OK, [], b"HEAD", 0),
        (b"HTTP/1.1 204 No Content", [], b"GET", 0),
        (b"HTTP/1.1 304 Not Modified", [b"Content-Length: 5"], b"GET", 0),
        (b"HTTP/1.1 103 Early Hints", [], b"GET", 0),
        (b"HTTP/1.1 205 Reset Content", [b"Content-Length: 0"], b"GET", 0),
        (b"HTTP/1.1 999 Whatever", [b"Content-Length: 1"], b"GET", 1),
        (b"HTTP/1.0 200 OK", [b"Content-Length: 5"], b"GET", 5),
    ],
)
def test_frames_the_body(line, fields, method, framing):
    assert response(line, *fields, method=method).framing == framing


@pytest.mark.parametrize(
    ("line", "fields", "stays"),
    [
        (OK, [], True),
        (OK, [b"Connection: close"], False),
        (OK, [b"Connection: keep-alive"], True),
        (b"HTTP/1.0 200 OK", [], False),
        (b"HTTP/1.0 200 OK", [b"Connection: keep-alive"], True),
    ],
)
def test_the_connection_stays(line, fields, stays):
    assert response(line, *fields, b"Content-Length: 1").keep_alive is stays


@pytest.mark.parametrize(
    ("line", "fields", "method", "stays"),
    [
        (OK, [b"Content-Length: 5"], b"HEAD", False),
        (OK, [b"Transfer-Encoding: chunked"], b"HEAD", False),
        (OK, [], b"HEAD", False),
        (OK, [b"Content-Length: 0"], b"HEAD", True),
        (b"HTTP/1.1 304 Not Modified", [b"Content-Length: 5"], b"GET", False),
        (b"HTTP/1.1 304 Not Modified", [b"Transfer-Encoding: chunked"], b"GET", False),
        (b"HTTP/1.1 304 Not Modified", [], b"GET", True),
        (b"HTTP/1.1 204 No Content", [b"Content-Length: 5"], b"GET", False),
        (b"HTTP/1.1 204 No Content", [b"Content-Length: 00"], b"GET", True),
        (OK, [b"Content-Length: 0"], b"GET", True),
        (OK, [b"Transfer-Encoding: chunked"], b"GET", True),
        (OK, [], b"GET", False),
    ],
)
def test_the_connection_ends_where_a_body_might_still_come(line, fields, method, stays):
    assert response(line, *fields, method=method).keep_alive is stays


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 tr\xe8s bien\t"])
def test_any_reason_phrase_will_do(line):
    assert response(line).status == 200


def test_an_absent_reason_leaves_its_space():
    assert response(b"HTTP/1.1 200", b"A: b").onward == b"HTTP/1.1 200 \r\nA: b\r\n"


@pytest.mark.parametrize(
    ("line", "dropped"),
    [
        (b"HTTP/1.1 103 Early Hints", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 205 Reset Content", False),
        (b"HTTP/1.1 304 Not Modified", False),
    ],
)
def test_no_length_is_told_where_none_can_be(line, dropped):
    onward = response(line, b"A: b", b"content-length: 0").onward
    assert onward == line + b"\r\nA: b\r\n" + (b"" if dropped else b"content-length: 0\r\n")


@pytest.mark.parametrize(
    "data", [head(OK, b"A: b", b"C:"), head(b"HTTP/1.1 200"), head(b"HTTP/1.0 404 Not\tFound")]
)
def test_no_beginning_of_a_good_head_is_refused(data):
    assert all(parse_response(data[:end], b"GET", HEAD_BYTES) is None for end in range(len(data)))
    assert parse_response(data + b"body", b"GET", HEAD_BYTES).size == len(data)


def test_equal_heads_with_other_methods_mean_their_own():
    lines = (OK, b"Content-Length: 3")
    assert response(*lines) is response(*lines)
    assert [response(*lines, method=method).framing for method in (b"GET", b"HEAD", b"GET")] == [3, 0, 3]


def test_a_head_met_before_is_still_too_large_for_a_lower_limit():
    data = head(OK, b"A: b")
    assert parse_response(data, b"GET", len(data))
    with pytest.raises(WireError, match="head_too_large"):
        parse_response(data, b"GET", len(data) - 1)


def test_a_long_head_is_read_like_any_other():
    parsed = response(OK, b"A: " + b"b" * 3000)
    assert (parsed.status, parsed.size) == (200, len(parsed.onward) + 2)
