"""Well-behaved clients and servers: what is said is passed on, and connections serve again."""

from __future__ import annotations

import pytest

from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.raw import OK, RecordingServer, exchange

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n"


def dechunked(body: bytes) -> bytes:
    payload = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        payload, body = payload + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return payload


def one_answer(front: str, answer: bytes, request: bytes = LAST_GET) -> bytes:
    with RecordingServer(answer) as server, Rig(front, server.url) as rig:
        return exchange(rig.address, request)


def test_pipelined_requests_are_answered_in_order(front):
    def named(request: bytes) -> bytes:
        path = request.split(b" ")[1]
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)

    requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)]
    with RecordingServer(named) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(b"".join(requests))
        answers = [client.head() and client.exactly(2) for _ in requests]
    assert answers == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert len(server.connections) == 1


def test_bodies_and_heads_may_come_pipelined(front):
    with RecordingServer() as server, Rig(front, server.url) as rig:
        exchange(rig.address, post(b"abc") + CHUNKED + CHUNKS + post(b"d" * 100_000) + LAST_GET)
    methods = [request.split(b" ")[0] for request in server.requests]
    assert methods == [b"POST", b"POST", b"POST", b"GET"]
    assert server.requests[0].endswith(b"\r\n\r\nabc")
    assert server.requests[2].endswith(b"\r\n\r\n" + b"d" * 100_000)


def test_a_server_connection_serves_many_clients(front):
    with RecordingServer() as server, Rig(front, server.url) as rig:
        for _ in range(3):
            assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"],
)
def test_answers_without_a_body(front, answer):
    with RecordingServer(answer) as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(2):
            assert client.send(GET).head().startswith(answer[:12])
    assert len(server.connections) == 1


def test_head(front):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    with RecordingServer(answer) as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(2):
            assert b"Content-Length: 5\r\n" in client.send(b"HEAD" + GET[3:]).head()


@pytest.mark.parametrize("later", [False, True])
def test_a_head_answer_with_a_body_does_not_disturb_the_next(front, later):
    """Not even if the body comes when the next request has been read."""

    def serve(peer: Peer) -> None:
        if peer.head().startswith(b"HEAD"):
            peer.send(OK[:-2] if later else OK)
            peer.head()
            peer.send(OK)
        else:
            peer.send(OK.replace(b"ok", b"no"))

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(b"HEAD" + GET[3:]).head()
        client.send(GET).head()
        assert client.exactly(2) == b"no"
    assert server.connections == 2


def test_a_request_body_is_passed_on_chunked_or_sized(front):
    with RecordingServer() as server, Rig(front, server.url) as rig:
        exchange(rig.address, CHUNKED + CHUNKS + post(b"xyz", b"Connection: close"))
    chunked, sized = server.requests
    head, _, body = chunked.partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert dechunked(body) == b"abcdefg"
    assert sized.endswith(b"\r\n\r\nxyz")


def test_a_chunked_answer(front):
    answer = one_answer(front, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert dechunked(body) == b"abcdefg"


def test_a_chunked_answer_for_an_old_client(front):
    answer = one_answer(
        front, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS, b"GET / HTTP/1.0\r\n\r\n"
    )
    assert answer.endswith(b"\r\n\r\nabcdefg")
    assert b"Transfer-Encoding" not in answer


def test_an_answer_that_ends_with_its_connection(front):
    with (
        RecordingServer(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nbody") as server,
        Rig(front, server.url) as rig,
    ):
        assert dechunked(exchange(rig.address, LAST_GET).partition(b"\r\n\r\n")[2]) == b"body"
        assert exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nbody")
    assert len(server.connections) == 2


def test_an_old_client_may_keep_its_connection(front):
    old = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    with RecordingServer() as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(2):
            assert b"connection: keep-alive\r\n" in client.send(old).head().lower()
            assert client.exactly(2) == b"ok"


def test_an_old_client_without_host_is_given_one(front):
    with RecordingServer() as server, Rig(front, server.url) as rig:
        exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n")
    assert server.requests[0].startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:" in server.requests[0]


def test_set_cookies_stay_apart_and_in_order(front):
    cookies = b"Set-Cookie: a=1; Path=/\r\nX: y\r\nSet-Cookie: b=2\r\n"
    answer = one_answer(front, b"HTTP/1.1 200 OK\r\n" + cookies + b"Content-Length: 0\r\n\r\n")
    assert cookies in answer


def test_a_half_closing_client_still_gets_its_answer(front):
    with RecordingServer() as server, Rig(front, server.url) as rig:
        assert exchange(rig.address, GET, half_close=True).endswith(b"\r\n\r\nok")


def test_interim_responses_reach_a_client_of_1_1_only():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with RecordingServer(hints + hints + OK) as server, Rig("fast_lane", server.url) as rig:
        assert exchange(rig.address, LAST_GET).startswith(hints + hints + b"HTTP/1.1 200 OK\r\n")
        assert exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_interim_responses_do_not_disturb(front):
    assert one_answer(front, b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK).endswith(b"\r\n\r\nok")


def test_a_client_may_wait_for_100_continue(front):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n").exactly(4)
        peer.send(OK)

    with Upstream(serve) as server, Rig(front, server.url) as rig, rig.client() as client:
        client.send(post(b"", b"Expect: 100-continue", length=4))
        assert client.head().startswith(b"HTTP/1.1 100 ")
        assert client.send(b"body").head().startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_for_100_continue_may_be_refused():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n").rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(post(b"", b"Expect: 100-continue", length=4))
        answer = client.rest()
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_visitor_gets_a_cookie_with_any_answer(front):
    with RecordingServer() as server, Rig(front, server.url, sticky_sessions=True) as rig:
        assert b"\r\nSet-Cookie: serin=" in exchange(rig.address, LAST_GET)


def test_the_server_learns_where_a_request_came_from(front):
    request = (
        LAST_GET[:-2] + b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=1\r\n\r\n"
    )
    with RecordingServer() as server, Rig(front, server.url) as rig:
        exchange(rig.address, request)
    fields = server.requests[0].split(b"\r\n")
    told = [field for field in fields if b"orwarded" in field or b"Via" in field or b"Request-I" in field]
    assert told[:5] == [
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: a",
        b'Forwarded: for=127.0.0.1;proto=http;host="a"',
        b"Via: 1.1 serin",
    ]
    assert told[5].startswith(b"X-Request-ID: ")
