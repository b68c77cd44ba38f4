"""Bad input to either server: a clear refusal or a closed connection, never a stack trace."""

from __future__ import annotations

import re
from typing import NamedTuple

import gevent
import pytest
from gevent import socket

from tests.support.processes import Process, fetch
from tests.support.raw import Address, exchange
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

HEAD = b"PUT /upload HTTP/1.1\r\nHost: localhost\r\n"
REFUSED = re.compile(rb"(HTTP/1\.[01] (4\d\d|501|505) [^\r]+\r\n.*)?", re.DOTALL)

BAD = {
    "binary": bytes(range(256)) * 4,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "prose": b"hello, is anybody there?\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "version": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a head of 1 MB": HEAD + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "a target of 1 MB": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "1 MB of headers": HEAD + b"X: y\r\n" * 170_000 + b"\r\n",
    "1 MB without a line": b"G" * 1_000_000,
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and coding": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "not a length": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "not a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a head that ends early": HEAD,
    "a body that ends early": HEAD + b"Content-Length: 100\r\n\r\n{",
    "a large body that ends early": HEAD + b"Content-Length: 500000\r\n\r\n{",
    "chunks that end early": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
}
SLOW = {
    "a slow head": HEAD,
    "a slow body": HEAD + b"Content-Length: 500\r\n\r\n{",
    "slow chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n{",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    patience = {"timeouts": {"client_head": "500ms", "client_idle": "500ms"}}
    with Stack(tmp_path_factory.mktemp("stack"), config={"ratio": 0, **patience}) as stack:
        yield stack


class Target(NamedTuple):
    """A server and how to talk to it: `path` is one where it reads a body to its end before it answers."""

    process: Process
    address: Address
    path: bytes

    def say(self, name: str, data: bytes) -> bytes:
        """The answer to `data` on that path."""
        data = data.replace(b"/upload", self.path)
        return exchange(self.address, data, half_close="early" in name)


@pytest.fixture(params=["web", "kv"])
def target(stack, request):
    """Either server; after the test it serves on, and has nothing to be ashamed of in its log."""
    process, port, path = {
        "web": (stack.web, stack.port, b"/upload"),
        "kv": (stack.kv, stack.kv_port, b"/v1/kv/bad"),
    }[request.param]
    yield Target(process, ("127.0.0.1", port), path)
    assert fetch("GET", f"http://127.0.0.1:{port}/-/healthz").ok
    assert "Traceback" not in process.output()


@pytest.mark.parametrize("name", BAD)
def test_is_refused(target, name):
    answer = target.say(name, BAD[name])
    assert REFUSED.fullmatch(answer), answer[:200]
    assert b"Traceback" not in answer


def test_leaves_nothing_behind(stack):
    assert fetch("GET", f"{stack.kv_url}/v1/kv/bad").status_code == 404


def test_slow_clients_are_sent_away(target):
    """All at once, a byte now and then: their time runs out all the same."""
    starts = [start.replace(b"/upload", target.path) for start in SLOW.values()]
    waiting = [gevent.spawn(dripped, target.address, start) for start in starts]
    gevent.joinall(waiting, timeout=30, raise_error=True)
    for answer in (each.get(block=False) for each in waiting):
        assert REFUSED.fullmatch(answer), answer[:200]


def dripped(address, start):
    """The answer to a client that begins at once and then sends a byte every tenth of a second."""
    with socket.create_connection(address, timeout=30) as connection:
        dripping = gevent.spawn(drip, connection, start)
        try:
            return received(connection)
        finally:
            dripping.kill()


def drip(connection, start):
    try:
        connection.sendall(start)
        while True:
            gevent.sleep(0.1)
            connection.sendall(b"a")
    except OSError:
        pass  # sent away: what was said before is what the test looks at


def received(connection):
    answer = b""
    try:
        while block := connection.recv(65536):
            answer += block
    except ConnectionError:
        pass
    return answer


@pytest.mark.parametrize("front", ["worker", "stock"])
def test_is_refused_under_gunicorn_too(front, tmp_path):
    with Stack(tmp_path, front=front, config={"ratio": 0}) as stack:
        for name, data in BAD.items():
            answer = Target(stack.web, stack.address, b"/upload").say(name, data)
            assert REFUSED.fullmatch(answer), (name, answer[:200])
            assert b"Traceback" not in answer, name
        assert stack.version() == "stable"
        assert "Traceback" not in stack.web.output()
