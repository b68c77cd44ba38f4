"""What a proxy changes in a head, and that it changes nothing else."""

import pytest

from app.wire.forward import error_response, interim_head, provenance, request_head, response_head
from tests.wire.heads import get, head, request, response

FROM = provenance("192.0.2.1", "http")
OK = b"HTTP/1.1 200 OK"


def forwarded(data: bytes, new_id: bytes = b"") -> list[bytes]:
    """The lines a server sees, less those that tell where a request came from."""
    parsed = request(data)
    sent = request_head(parsed, FROM, new_id, b"server:80")
    told = FROM.replace(b"Via: 1.1", b"Via: 1.%d" % parsed.minor)
    assert sent.endswith(b"\r\n\r\n")
    assert sent.count(told) == 1
    return sent.replace(told, b"").split(b"\r\n")[:-2]


def answered(
    *lines: bytes, client: bytes = get(), keep_alive: bool = True, cookie: bytes | None = None
) -> list[bytes]:
    parsed = request(client)
    relayed = response_head(response(*lines, method=parsed.method), parsed, keep_alive, cookie)
    assert relayed.endswith(b"\r\n\r\n")
    return relayed.split(b"\r\n")[:-2]


def test_keeps_order_case_and_white_space():
    fields = [
        b"X-b: 1",
        b"ACCEPT:\t*/*  ",
        b"x-B: 2",
        b"a:",
        b"Cookie: a=b",
        b"cookie: c=d",
        b"Authorization: Basic eA==",
    ]
    expected = [b"GET /?q HTTP/1.1", b"Host: a", *fields, b"X-Forwarded-Host: a"]
    assert forwarded(get(*fields, target=b"/?q")) == expected


@pytest.mark.parametrize(
    "field",
    [b"Connection: close", b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers", b"Trailer: X",
     b"Upgrade: websocket", b"Proxy-Authorization: Basic x", b"HTTP2-Settings: AAA"],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 2])
def test_drops_what_is_meant_for_a_proxy(field, times):
    assert forwarded(get(b"A: 1", *[field] * times, b"B: 2")) == forwarded(get(b"A: 1", b"B: 2"))


@pytest.mark.parametrize(
    "field",
    [b"X-Forwarded-For: 1.2.3.4", b"x-forwarded-proto: https", b"X-FORWARDED-HOST: evil",
     b"X-Forwarded-Anything: x", b"X-Real-IP: 1.2.3.4", b"Forwarded: for=1.2.3.4"],
)  # fmt: skip
@pytest.mark.parametrize("times", [1, 2])
def test_leaves_what_is_said_of_its_way_here_to_the_provenance(field, times):
    sent = forwarded(get(b"A: 1", *[field] * times, b"B: 2"))
    assert sent == [line for line in forwarded(get(b"A: 1", b"B: 2")) if b"Forwarded" not in line]


@pytest.mark.parametrize("connection", [b"x-foo", b"close , X-FOO", b"keep-alive,,x-foo"])
def test_drops_every_line_that_connection_names(connection):
    sent = forwarded(get(b"X-Foo: 1", b"Connection: " + connection, b"x-foo: 2", b"X-Foo: 1", b"X-Food: 3"))
    assert sent == forwarded(get(b"X-Food: 3"))


@pytest.mark.parametrize(
    "field",
    [b"Content-Length: 1", b"Cookie: a=b", b"Authorization: x", b"X-Request-ID: r", b"Host: a"],
)
def test_connection_cannot_take_away_what_gives_a_request_its_meaning(field):
    fields = [] if field == b"Host: a" else [field]
    name = field.partition(b":")[0]
    assert field in forwarded(get(b"Connection: close, " + name, *fields))


def test_connection_cannot_take_away_what_the_proxy_adds():
    named = b"Connection: via, x-forwarded-for, x-forwarded-host, x-request-id"
    assert forwarded(get(named), new_id=b"n") == forwarded(get(), new_id=b"n")


def test_a_request_id_is_made_only_where_there_is_none():
    assert b"X-Request-ID: n" in forwarded(get(), new_id=b"n")
    assert forwarded(get(b"X-Request-ID: bad id"), new_id=b"n") == forwarded(get(), new_id=b"n")
    assert forwarded(get(b"x-request-id: mine"))[2] == b"x-request-id: mine"


@pytest.mark.parametrize("version", [b"1.0", b"1.2", b"1.9"])
def test_every_request_goes_on_as_1_1(version):
    assert forwarded(get(version=version))[:2] == [b"GET / HTTP/1.1", b"Host: a"]


@pytest.mark.parametrize("version", [b"1.0", b"1.1", b"1.2"])
def test_via_tells_the_version_that_the_client_spoke(version):
    """RFC 9110, 7.6.3."""
    said = provenance("::1", "http") + b"X-Forwarded-Host: Via: 1.1 x\r\n"
    head = request_head(request(get(version=version)), said, b"", b"")
    assert head.endswith(said.replace(b"1.1 serin", version + b" serin") + b"X-Forwarded-Host: a\r\n\r\n")


def test_a_request_without_host_gets_the_servers():
    assert forwarded(head(b"GET / HTTP/1.0", b"A: b")) == [b"GET / HTTP/1.1", b"A: b", b"Host: server:80"]


def test_an_absolute_form_goes_on_as_a_path_with_its_own_host():
    sent = forwarded(get(b"X: y", target=b"http://b:81/p?q"))
    assert sent == [b"GET /p?q HTTP/1.1", b"Host: b:81", b"X: y", b"X-Forwarded-Host: b:81"]
    assert forwarded(get(target=b"http://a/p"))[:2] == [b"GET /p HTTP/1.1", b"Host: a"]


def test_chunked_is_said_anew():
    sent = forwarded(head(b"POST / HTTP/1.1", b"Host: a", b"transfer-encoding:CHUNKED", b"A: b"))
    assert sent[2:] == [b"A: b", b"X-Forwarded-Host: a", b"Transfer-Encoding: chunked"]


def test_provenance_says_who_and_how():
    assert (
        provenance("::1", "https")
        == b"X-Forwarded-For: ::1\r\nX-Forwarded-Proto: https\r\nVia: 1.1 serin\r\n"
    )


def test_a_response_keeps_order_case_and_every_set_cookie():
    lines = [OK, b"set-cookie: a", b"X: y", b"Set-Cookie: b", b"Set-Cookie: b", b"content-LENGTH: 3"]
    assert answered(*lines) == lines


@pytest.mark.parametrize(
    "field",
    [b"Connection: close", b"Keep-Alive: timeout=5", b"Proxy-Connection: x", b"Upgrade: h2c", b"Trailer: X",
     b"Proxy-Authenticate: Basic"],
)  # fmt: skip
def test_a_response_loses_what_was_meant_for_the_proxy(field):
    assert answered(OK, b"A: 1", field, b"B: 2", b"Content-Length: 0") == [
        OK,
        b"A: 1",
        b"B: 2",
        b"Content-Length: 0",
    ]


def test_a_response_loses_what_its_connection_names():
    lines = answered(OK, b"Connection: x-foo, content-length", b"X-Foo: 1", b"X-Foo: 1", b"Content-Length: 0")
    assert lines == [OK, b"Content-Length: 0"]


@pytest.mark.parametrize("line", [b"HTTP/1.0 200 OK", b"HTTP/1.2 200 OK"])
def test_every_response_is_ours_in_version(line):
    assert answered(line, b"Content-Length: 0")[0] == OK
    assert interim_head(response(line.replace(b"200 OK", b"103 Hints"))) == b"HTTP/1.1 103 Hints\r\n\r\n"


@pytest.mark.parametrize("framed", [b"Transfer-Encoding: chunked", b"X: until the connection closes"])
def test_a_body_of_unknown_length_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0(framed):
    assert answered(OK, framed)[-1] == b"Transfer-Encoding: chunked"
    old = answered(OK, framed, client=get(version=b"1.0"), keep_alive=False)
    assert b"Transfer-Encoding: chunked" not in old
    assert old[-1] == b"Connection: close"


@pytest.mark.parametrize("line", [OK, b"HTTP/1.1 304 Not Modified"])
def test_a_response_without_a_body_is_not_said_to_be_chunked(line):
    client = head(b"HEAD / HTTP/1.1", b"Host: a") if line == OK else get()
    assert answered(line, b"Transfer-Encoding: chunked", client=client) == [line]


def test_says_whether_the_connection_stays_only_where_it_is_news():
    length = b"Content-Length: 0"
    assert answered(OK, length) == [OK, length]
    assert answered(OK, length, keep_alive=False)[-1] == b"Connection: close"
    assert answered(OK, length, client=get(version=b"1.0"))[-1] == b"Connection: keep-alive"


def test_a_new_visitor_gets_one_more_cookie():
    assert answered(OK, b"Set-Cookie: a", b"Content-Length: 0", cookie=b"v")[1:] == [
        b"Set-Cookie: a", b"Content-Length: 0", b"Set-Cookie: v"]  # fmt: skip


def test_interim_responses_keep_their_fields():
    lines = [b"HTTP/1.1 103 Early Hints", b"Link: </a>", b"Connection: x", b"X: 1"]
    assert interim_head(response(*lines)) == head(lines[0], lines[1])


@pytest.mark.parametrize("status", [400, 405, 408, 413, 414, 431, 500, 501, 502, 503, 504, 505])
def test_an_error_is_a_whole_response(status):
    data = error_response(status, "some_reason", None, False)
    lines, _, text = data.partition(b"\r\n\r\n")
    parsed = response(*lines.split(b"\r\n"))
    assert (parsed.status, parsed.framing, parsed.keep_alive) == (status, len(text), False)
    assert b"some_reason" in text


def test_an_error_carries_the_requests_id():
    assert error_response(502, "r", request(get(b"X-Request-ID: abc")), True).endswith(b"\nrequest id: abc\n")


def test_an_error_for_head_has_no_text():
    asked = request(head(b"HEAD / HTTP/1.1", b"Host: a"))
    assert error_response(502, "r", asked, True).endswith(b"Connection: keep-alive\r\n\r\n")


def test_some_errors_say_what_helps():
    assert b"\r\nAllow: GET, " in error_response(405, "connect", None, False)
    assert b"\r\nRetry-After: 1\r\n" in error_response(503, "no_server", None, True)
