"""Ordinary HTTP through each front, to a real version and back."""

from __future__ import annotations

import hashlib

import pytest
from requests import Session

from tests.support.processes import fetch
from tests.support.raw import exchange
from tests.support.stack import FRONTS, Stack

pytestmark = pytest.mark.end_to_end

LARGE = 8 * 1024 * 1024


@pytest.fixture(scope="module", params=FRONTS)
def stack(request, tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("stack"), front=request.param, config={"ratio": 0}) as stack:
        yield stack


def test_events_come_one_by_one(stack):
    """The stream would take an hour: only who passes events on at once has two of them in time."""
    with Session() as session:
        session.trust_env = False
        with session.get(f"{stack.url}/?chunks=36000&interval=100ms", stream=True, timeout=10) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = (line for line in response.iter_lines(chunk_size=1) if line)
            assert [next(lines), next(lines)] == [b"data: stable 0", b"data: stable 1"]


def blocks():
    yield from (bytes([number]) * 65536 for number in range(LARGE // 65536))


@pytest.mark.parametrize("body", [b"".join(blocks()), blocks()], ids=["with a length", "chunked"])
def test_an_upload_arrives_as_it_was_sent(stack, body):
    seen = fetch("POST", f"{stack.url}/upload", data=body if isinstance(body, bytes) else blocks()).json()
    assert seen == {"bytes": LARGE, "sha256": hashlib.sha256(b"".join(blocks())).hexdigest()}


def test_a_large_answer_arrives_whole(stack):
    answer = stack.get(f"/?size={LARGE}")
    assert (answer.content == b"x" * LARGE, answer.headers["Content-Length"]) == (True, str(LARGE))


def test_an_answer_of_unknown_length_arrives_whole(stack):
    assert stack.get("/?chunks=50").text.count("data: stable") == 50


@pytest.mark.parametrize(
    ("method", "path", "status"), [("HEAD", "/?size=5", 200), ("GET", "/?status=204", 204)]
)
def test_answers_without_a_body_keep_the_connection(stack, method, path, status):
    first = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = "GET /?size=3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(stack.address, (first + last).encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.endswith(b"\r\n\r\nxxx")


def test_an_expectation_is_met(stack):
    request = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
    answer = exchange(stack.address, request + b"Connection: close\r\n\r\nok")
    assert b'"bytes": 2' in answer


def test_the_server_learns_whom_it_serves(stack):
    seen = fetch("GET", f"{stack.url}/echo?p1=a;b;c&p2=%25x", headers={"X-Request-ID": "r-1"}).json()
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert seen["target"] == "/echo?p1=a;b;c&p2=%25x"
    assert headers["host"] == headers["x-forwarded-host"] == stack.url.removeprefix("http://")
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert headers["x-request-id"] == "r-1"


def test_an_override_decides(tmp_path, stack):
    rule = {"header": "X-Canary", "value": "yes", "version": "canary"}
    stack.wait_in_force(stack.patch_config({"overrides": [rule]})["etag"])
    assert stack.version(headers={"X-Canary": "yes"}) == "canary"
    assert stack.version() == "stable"
