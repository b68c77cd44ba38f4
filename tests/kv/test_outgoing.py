"""Any WSGI application's answers, as they go over the wire."""

from __future__ import annotations

import logging

import pytest

from kv.server import Server
from tests.support.raw import exchange

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = LAST.replace(b"GET", b"HEAD")


class Blocks:
    """A body that fails behind its blocks if it is told to, and knows that it was closed."""

    def __init__(self, *blocks, failure=None):
        self.blocks, self.failure, self.closed = blocks, failure, False

    def __iter__(self):
        yield from self.blocks
        if self.failure:
            raise self.failure

    def close(self):
        self.closed = True


def answering(blocks, *fields, status="200 OK"):
    def application(environ, start_response):
        start_response(status, list(fields))
        return blocks

    return application


def ask(application, request=LAST):
    """The head of the answer as lines, and the rest of all that came."""
    server = Server(("127.0.0.1", 0), application)
    server.start()
    try:
        head, _, rest = exchange(("127.0.0.1", server.server_port), request).partition(b"\r\n\r\n")
    finally:
        server.stop()
    return head.split(b"\r\n"), rest


@pytest.mark.parametrize(
    ("request_", "framing", "body"),
    [
        (LAST, b"Transfer-Encoding: chunked", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (OLD, b"Connection: close", b"abc"),
        (HEAD, b"Connection: close", b""),
    ],
)
def test_a_body_of_unknown_length(request_, framing, body):
    blocks = Blocks(b"ab", b"", b"c")
    head, rest = ask(answering(blocks), request_)
    assert (framing in head, rest, blocks.closed) == (True, body, True)


@pytest.mark.parametrize("request_", [LAST, OLD])
def test_a_body_of_known_length(request_):
    head, rest = ask(answering([b"ab", b"c"], ("Content-Length", "3")), request_)
    assert (head[0], b"Content-Length: 3" in head, rest) == (b"HTTP/1.1 200 OK", True, b"abc")
    assert not [line for line in head if line.startswith(b"Transfer-Encoding")]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body(status):
    _, rest = ask(answering([b"no"], status=status))
    assert rest == b""


def test_a_connection_that_goes_on():
    _, rest = ask(answering([b"a"], ("Content-Length", "1")), GET + LAST)
    assert (rest.count(b"HTTP/1.1 200 OK"), rest.count(b"Connection: close")) == (1, 1)


@pytest.mark.parametrize(
    "application",
    [
        answering(Blocks(failure=RuntimeError("broken"))),
        answering([b"a"], ("X-A", "a\r\nX-B: b")),
        lambda environ, start_response: 1 / 0,
    ],
)
def test_a_failure_before_the_head_is_sent(application, caplog):
    head, rest = ask(application, GET)
    assert (head[0], b"Connection: close" in head) == (b"HTTP/1.1 500 Internal Server Error", True)
    assert rest == b"the server is at fault; its log says why\n"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_failure_later_is_no_clean_end(caplog):
    blocks = Blocks(b"a", failure=RuntimeError("broken"))
    _, rest = ask(answering(blocks), GET)
    assert (rest, blocks.closed) == (b"1\r\na\r\n", True)
    assert "broken" in caplog.text


def test_an_application_may_change_its_mind_until_then():
    def application(environ, start_response):
        start_response("200 OK", [])
        start_response("503 Service Unavailable", [], (ValueError, ValueError(), None))(b"a")
        return [b"b"]

    head, rest = ask(application)
    assert (head[0], rest) == (b"HTTP/1.1 503 Service Unavailable", b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
