"""What is read from a request head, and what makes one refused."""

import pytest

from app.errors import WireError
from app.wire.body import CHUNKED
from app.wire.head import parse_request
from tests.wire.heads import HEADERS, fate, get, head, parse, request

POST = b"POST / HTTP/1.1"
HOST = b"Host: a"
LONG = b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n"

# (what is sent, status, reason)
REFUSED = {
    # the request line
    "space before the method": (b" GET / HTTP/1.1\r\n", 400, "bad_request_line"),
    "method no token": (b"G@T / HTTP/1.1\r\n", 400, "bad_request_line"),
    "no method": (b"/ HTTP/1.1\r\n", 400, "bad_request_line"),
    "two spaces": (b"GET  / HTTP/1.1\r\n", 400, "bad_request_line"),
    "tab for a space": (b"GET\t/ HTTP/1.1\r\n", 400, "bad_request_line"),
    "space in the target": (b"GET /a b HTTP/1.1\r\n", 400, "bad_request_line"),
    "space after the version": (b"GET / HTTP/1.1 \r\n", 400, "bad_request_line"),
    "small letters in the version": (b"GET / http/1.1\r\n", 400, "bad_request_line"),
    "version with a sign": (b"GET / HTTP/+1.1\r\n", 400, "bad_request_line"),
    "version with many digits": (b"GET / HTTP/1.10\r\n", 400, "bad_request_line"),
    "bare LF ends the request line": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request_line"),
    "bare CR in the request line": (b"GET /\r HTTP/1.1\r\n", 400, "bad_request_line"),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\n", 400, "bad_request_line"),
    "byte above ASCII in the target": (b"GET /\xe9 HTTP/1.1\r\n", 400, "bad_request_line"),
    "fragment": (b"GET /#top HTTP/1.1\r\n", 400, "bad_request_line"),
    "two empty lines first": (b"\r\n\r\nGET / HTTP/1.1\r\n", 400, "bad_request_line"),
    "bare LF first": (b"\nGET / HTTP/1.1\r\n", 400, "bad_request_line"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", 400, "bad_request_line"),
    "HTTP/0.9": (b"GET /\r\n", 505, "version"),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\n", 505, "version"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
    # field lines
    "obs-fold": (get(b"X: a", b" b"), 400, "obs_fold"),
    "fold before the first field": (head(b"GET / HTTP/1.1", b" X: a", HOST), 400, "obs_fold"),
    "bare LF ends a field": (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare_lf"),
    "bare LF ends the head": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare_lf"),
    "space before the colon": (get(b"Content-Length : 3"), 400, "space_before_colon"),
    "tab before the colon": (get(b"X\t: 3"), 400, "space_before_colon"),
    "no name": (get(b": a"), 400, "empty_name"),
    "no colon": (get(b"X"), 400, "no_colon"),
    "name no token": (get(b"X(y): a"), 400, "bad_name"),
    "space in a name": (get(b"X y: a"), 400, "bad_name"),
    "byte above ASCII in a name": (get(b"X\xe9: a"), 400, "bad_name"),
    "NUL in a value": (get(b"X: a\0b"), 400, "bad_value"),
    "control in a value": (get(b"X: a\x01b"), 400, "bad_value"),
    "DEL in a value": (get(b"X: a\x7fb"), 400, "bad_value"),
    "bare CR in a value": (get(b"X: a\rb"), 400, "bad_value"),
    "two CR before LF": (get(b"X: a\r"), 400, "bad_value"),
    # Host
    "no Host": (head(b"GET / HTTP/1.1"), 400, "no_host"),
    "two Hosts": (get(b"Host: b"), 400, "two_hosts"),
    "two equal Hosts": (get(HOST), 400, "two_hosts"),
    "two Hosts in 1.0": (get(b"Host: b", version=b"1.0"), 400, "two_hosts"),
    "empty Host": (head(b"GET / HTTP/1.1", b"Host:"), 400, "bad_host"),
    # the body's length
    "sign": (head(POST, HOST, b"Content-Length: +3"), 400, "bad_length"),
    "minus": (head(POST, HOST, b"Content-Length: -0"), 400, "bad_length"),
    "underscore": (head(POST, HOST, b"Content-Length: 1_0"), 400, "bad_length"),
    "hexadecimal": (head(POST, HOST, b"Content-Length: 0x3"), 400, "bad_length"),
    "empty length": (head(POST, HOST, b"Content-Length:"), 400, "bad_length"),
    "list of lengths": (head(POST, HOST, b"Content-Length: 3, 3"), 400, "bad_length"),
    "two lengths": (head(POST, HOST, b"Content-Length: 3", b"Content-Length: 4"), 400, "bad_length"),
    "two equal lengths": (head(POST, HOST, b"Content-Length: 3", b"Content-Length: 3"), 400, "bad_length"),
    "length of 19 digits": (head(POST, HOST, b"Content-Length: " + b"9" * 19), 400, "bad_length"),
    "digits of another script": (head(POST, HOST, "Content-Length: ٣".encode()), 400, "bad_length"),
    "length and coding": (
        head(POST, HOST, b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        400,
        "length_and_coding",
    ),
    "coding in 1.0": (
        head(b"POST / HTTP/1.0", HOST, b"Transfer-Encoding: chunked"),
        400,
        "coding_in_1_0",
    ),
    "unknown coding": (head(POST, HOST, b"Transfer-Encoding: xchunked"), 501, "unknown_coding"),
    "gzip": (head(POST, HOST, b"Transfer-Encoding: gzip"), 501, "unknown_coding"),
    "identity": (head(POST, HOST, b"Transfer-Encoding: identity"), 501, "unknown_coding"),
    "chunked after another": (head(POST, HOST, b"Transfer-Encoding: gzip, chunked"), 400, "bad_coding"),
    "chunked not last": (head(POST, HOST, b"Transfer-Encoding: chunked, gzip"), 400, "bad_coding"),
    "chunked twice": (head(POST, HOST, b"Transfer-Encoding: chunked, chunked"), 400, "bad_coding"),
    "chunked on two lines": (
        head(POST, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        400,
        "bad_coding",
    ),
    "trailing comma": (head(POST, HOST, b"Transfer-Encoding: chunked,"), 400, "bad_coding"),
    "no coding": (head(POST, HOST, b"Transfer-Encoding:"), 400, "bad_coding"),
    "parameter": (head(POST, HOST, b"Transfer-Encoding: chunked;q=1"), 501, "unknown_coding"),
    "vertical tab": (head(POST, HOST, b"Transfer-Encoding: \x0bchunked"), 400, "bad_value"),
    # the target
    "CONNECT": (head(b"CONNECT a:443 HTTP/1.1", HOST), 405, "connect"),
    "CONNECT with a path": (head(b"CONNECT /a HTTP/1.1", HOST), 405, "connect"),
    "authority-form": (get(target=b"a:443"), 400, "bad_target"),
    "asterisk with GET": (get(target=b"*"), 400, "bad_target"),
    "path without slash": (get(target=b"index.html"), 400, "bad_target"),
    "foreign scheme": (get(target=b"ftp://a/"), 400, "bad_target"),
    "absolute-form without a host": (get(target=b"http:///x"), 400, "bad_target"),
    "absolute-form with userinfo": (get(target=b"http://u:p@a/"), 400, "bad_target"),
    # limits
    "target too long": (LONG + b"Host: a\r\n\r\n", 414, "target_too_long"),
    "target too long, head begun": (LONG, 414, "target_too_long"),
    "target too long, line begun": (LONG[:-11], 414, "target_too_long"),
    "too many fields": (get(*[b"X: a"] * HEADERS), 431, "head_too_large"),
    "too many fields, head begun": (get(*[b"X: a"] * (HEADERS + 1))[:-2], 431, "head_too_large"),
    "head too large": (get(*[b"X: " + b"a" * 1000] * 5), 431, "head_too_large"),
    "head too large, line begun": (get(b"X: " + b"a" * 5000)[:-4], 431, "head_too_large"),
    "method without an end": (b"A" * 5000, 431, "head_too_large"),
}


@pytest.mark.parametrize(("data", "status", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses(data, status, reason):
    assert fate(data) == (status, reason)


@pytest.mark.parametrize(
    "host", [b"a", b"a.b:80", b"a:", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"a%20b", b"a."]
)
def test_accepts_as_host(host):
    assert request(head(b"GET / HTTP/1.1", b"Host: " + host)).host == host


@pytest.mark.parametrize(
    "host",
    [b"u@a", b"a b", b"a/b", b"a:b", b"a:80:80", b"a:65536", b"a:999999", b"a:+80", b"::1", b"[::1", b"[x]", b"a,b c",
     b"a\xe9", b"a%2", b"a?b", b"a" * 300],
)  # fmt: skip
def test_refuses_as_host(host):
    assert fate(head(b"GET / HTTP/1.1", b"Host: " + host)) == (400, "bad_host")


@pytest.mark.parametrize(
    "target", [b"/", b"/a%2Fb?p1=a;b;c&p2=%x", b"//a", b"/a?b?c", b'/\\~|{}"<>^`', b"/" + b"a" * 255]
)
def test_keeps_the_target_byte_for_byte(target):
    assert request(get(target=target)).target == target


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://b", b"b", b"/"),
        (b"http://b:80/x?y", b"b:80", b"/x?y"),
        (b"HTTPS://b?y", b"b", b"/?y"),
        (b"http://[::1]/", b"[::1]", b"/"),
    ],
)
def test_the_authority_of_an_absolute_form_wins(target, host, path):
    parsed = request(get(target=target))
    assert (parsed.host, parsed.target) == (host, path)


def test_options_may_ask_about_the_server_itself():
    assert request(head(b"OPTIONS * HTTP/1.1", HOST)).target == b"*"
    absolute = request(head(b"OPTIONS http://b:80 HTTP/1.1", HOST))
    assert (absolute.target, absolute.onward) == (b"*", b"Host: b:80\r\n")
    assert request(head(b"OPTIONS http://b/ HTTP/1.1", HOST)).target == b"/"


@pytest.mark.parametrize(
    ("version", "fields", "stays"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: Close"], False),
        (b"1.1", [b"Connection: x , close"], False),
        (b"1.1", [b"Connection: x", b"Connection: close"], False),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Cookie: a=b"], False),
        (b"1.0", [b"Connection: keep-alive"], True),
        (b"1.0", [b"Connection: x, Keep-Alive"], True),
        (b"1.2", [], True),
    ],
)
def test_the_connection_stays(version, fields, stays):
    assert request(get(*fields, version=version)).keep_alive is stays


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ([], 0),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length:7"], 7),
        ([b"content-length: \t 7 \t"], 7),
        ([b"Content-Length: 007"], 7),
        ([b"Content-Length: " + b"9" * 18], 10**18 - 1),
        ([b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"tRANSFER-eNCODING:\tChunked "], CHUNKED),
    ],
)
def test_frames_the_body(fields, framing):
    assert request(head(POST, HOST, *fields)).framing == framing


def test_ignores_one_empty_line_before_the_request_line():
    parsed = request(b"\r\n" + get() + b"rest")
    assert parsed.size == len(get()) + 2
    assert parsed.onward == b"Host: a\r\n"


def test_size_ends_where_the_next_request_begins():
    assert request(get() + get(b"X: a")).size == len(get())


@pytest.mark.parametrize(
    "data", [get(b"X: a\xe9\t b", b"Y:", b"Z:a:b"), b"\r\n" + get(b"X: a"), get(version=b"1.9")]
)
def test_no_beginning_of_a_good_head_is_refused(data):
    assert all(parse(data[:end]) is None for end in range(len(data)))
    assert parse(data)


def test_at_the_limits():
    assert request(get(*[b"X: a"] * (HEADERS - 1)))
    assert request(get(target=b"/" + b"a" * 255))


def test_header_finds_the_first_of_a_name_in_any_case():
    parsed = request(get(b"X-A: 1 ", b"x-a: 2", b"Y-X-A: 3", b"E:"))
    assert (parsed.header(b"x-a"), parsed.header(b"e"), parsed.header(b"a")) == (b"1", b"", None)


def test_cookie_finds_a_name_on_any_line():
    parsed = request(get(b"Cookie: a=1; ab=2;c=3", b"Cookie: d=4; a=5"))
    assert [parsed.cookie(name) for name in (b"a", b"ab", b"b", b"c", b"d")] == [b"1", b"2", None, b"3", b"4"]
    assert request(get()).cookie(b"a") is None


def test_query_decodes_and_finds_the_first():
    parsed = request(get(target=b"/p?a=1&%62=%2B+x&a=2&c"))
    assert [parsed.query(name) for name in (b"a", b"b", b"c", b"d")] == [b"1", b"+ x", b"", None]
    assert parsed.path == b"/p"


@pytest.mark.parametrize("value", [b"a b", b"", b"\xe9", b"a" * 129])
def test_a_request_id_that_is_not_one_word_is_not_kept(value):
    parsed = request(get(b"X-Request-ID: " + value))
    assert parsed.request_id == b""
    assert parsed.onward == b"Host: a\r\n"


def test_one_request_id_is_kept_and_two_are_not():
    assert request(get(b"X-Request-ID: r-1")).request_id == b"r-1"
    assert request(get(b"X-Request-ID: r", b"X-Request-ID: s")).request_id == b""


UNLIMITED = (10**5, 10**5, 1000)
UNDERSCORED = (
    b"GET /a_b HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\nX-A: _:_\r\n_: 2\r\nb_c:\r\nUser-Agent: d\r\n\r\n"
)


def test_names_with_underscores_are_dropped():
    request = parse_request(UNDERSCORED, *UNLIMITED)
    assert request.onward == b"Host: a\r\nX-A: _:_\r\nUser-Agent: d\r\n"


def test_names_with_underscores_may_pass():
    assert UNDERSCORED.endswith(parse_request(UNDERSCORED, *UNLIMITED, "pass").onward + b"\r\n")
    assert parse_request(UNDERSCORED, *UNLIMITED, "pass").onward.startswith(
        b"Host: a\r\nX_Forwarded_For: 1\r\n"
    )


def test_names_with_underscores_may_be_refused():
    with pytest.raises(WireError, match="underscore") as refused:
        parse_request(UNDERSCORED, *UNLIMITED, "refuse")
    assert (refused.value.status, refused.value.reason) == (400, "underscored_header")
    assert parse_request(b"GET /a_b HTTP/1.1\r\nHost: a_b\r\nX-A: _\r\n\r\n", *UNLIMITED, "refuse")
