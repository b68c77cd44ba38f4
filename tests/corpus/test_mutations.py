"""Valid requests, spoiled: each reaches the server as exactly one well-formed request, or is refused.

What a request is, is read here once more and strictly, by nothing of the proxy's; both what the client sent
and what the server saw are held to that reading. FUZZ_EXAMPLES in the environment makes a longer run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import gevent
import pytest
from gevent import socket
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.mutations import mutated
from tests.proxy.rig import Rig
from tests.support.raw import OK, Address, RecordingServer

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "1500"))
LIMITS = {"head_bytes": 2048, "target_bytes": 200, "headers": 20, "body_bytes": 1000}
STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")

_HEAD = re.compile(
    rb"(?:\r\n)?([!#$%&'*+\-.^_`|~\w]+) [!-~]+ HTTP/1\.[0-9]\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~\w]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})((?:[ \t]*;[^\r\n\0]*)?)\r\n")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~\w]+:[\t -~\x80-\xff]*\r\n)*\r\n")


class Malformed(Exception):
    """These bytes are not a whole, well-formed request, and nothing after them is one."""


@dataclass(frozen=True, slots=True)
class Message:
    method: bytes
    body: bytes


def whole_requests(data: bytes) -> list[Message]:
    """The well-formed requests that `data` begins with."""
    messages = []
    try:
        while data:
            message, data = first_request(data)
            messages.append(message)
    except Malformed:
        pass
    return messages


def first_request(data: bytes) -> tuple[Message, bytes]:
    """A request and what comes after it (RFC 9112). Raises Malformed."""
    head = matched(_HEAD, data)
    fields: dict[bytes, list[bytes]] = {}
    for line in head[2].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    required(len(fields.get(b"host", [])) == 1 or b" HTTP/1.0\r\n" in head[0])
    framing = fields.get(b"content-length", []) + fields.get(b"transfer-encoding", [])
    required(len(framing) <= 1)
    body, rest = framed(framing, b"transfer-encoding" in fields, data[head.end() :])
    return Message(head[1], body), rest


def framed(framing: list[bytes], coded: bool, data: bytes) -> tuple[bytes, bytes]:
    if not framing:
        return b"", data
    if coded:
        required(framing[0].lower() == b"chunked")
        return chunks(data)
    required(re.fullmatch(rb"[0-9]{1,18}", framing[0]) is not None and len(data) >= int(framing[0]))
    return data[: int(framing[0])], data[int(framing[0]) :]


def chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line = matched(_CHUNK, data)
        data, size = data[line.end() :], int(line[1], 16)
        if not size:
            return body, data[matched(_TRAILERS, data).end() :]
        required(data[size : size + 2] == b"\r\n")
        body, data = body + data[:size], data[size + 2 :]


def matched(pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes]:
    match = pattern.match(data)
    if match is None:
        raise Malformed
    return match


def required(holds: bool) -> None:
    if not holds:
        raise Malformed


@dataclass(frozen=True, slots=True)
class Outcome:
    """The statuses of the answers, the answers, and the requests that the server saw."""

    statuses: list[int]
    answers: bytes
    seen: list[bytes]


Send = Callable[[list[bytes]], Outcome]


def proxied(front: str) -> Iterator[Send]:
    """A proxy with a server behind; what it gives sends pieces to it, and waits for the close."""
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return OK[:-2] if request.startswith(b"HEAD ") else OK

    with RecordingServer(answer) as server, Rig(front, server.url, limits=LIMITS) as rig:

        def send(pieces: list[bytes]) -> Outcome:
            seen.clear()
            answers = everything(rig.address, pieces)
            return Outcome(list(map(int, STATUS.findall(answers))), answers, list(seen))

        yield send


def everything(address: Address, pieces: list[bytes]) -> bytes:
    """All that is answered until the close. Raises gevent.Timeout if none comes within five seconds."""
    answers = bytearray()
    with gevent.Timeout(5), socket.create_connection(address) as connection:
        with suppress(OSError):  # refused before all of it was sent: what was answered is what counts
            for piece in pieces:
                connection.sendall(piece)
                gevent.sleep(0)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while block := connection.recv(65536):
                answers += block
    return bytes(answers)


@pytest.fixture(scope="module")
def fast_lane() -> Iterator[Send]:
    yield from proxied("fast_lane")


@pytest.fixture(scope="module")
def wsgi() -> Iterator[Send]:
    yield from proxied("wsgi")


@pytest.fixture(autouse=True)
def nothing_breaks(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No traceback through our code; pywsgi has some of its own."""
    yield
    assert "/app/" not in capfd.readouterr().err
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def pieces_of(data: bytes, cut: int) -> list[bytes]:
    cut %= len(data) + 1
    return [data[:cut], data[cut:]]


def whole_request(data: bytes) -> Message:
    """`data` is one request, to the last byte. Raises AssertionError."""
    messages = whole_requests(data)
    assert len(messages) == 1, data
    assert first_request(data)[1] == b"", data
    return messages[0]


@settings(deadline=None, max_examples=EXAMPLES)
@given(sent=st.builds(pieces_of, mutated, st.integers(0, 2000)))
def test_each_request_reaches_the_server_whole_or_is_refused(fast_lane, sent):
    outcome = fast_lane(sent)
    data = b"".join(sent)
    accepted = outcome.statuses.count(200)
    assert outcome.statuses or not data
    assert outcome.statuses[:accepted] == [200] * accepted
    refusals = outcome.statuses[accepted:]
    assert [status // 100 in (4, 5) for status in refusals] == [True][: len(refusals)]
    closed = b"\r\nConnection: close\r\n" in outcome.answers
    asked = whole_requests(data)
    assert list(map(whole_request, outcome.seen)) == asked[:accepted]
    assert closed if refusals else closed or accepted == len(asked)


@settings(deadline=None, max_examples=EXAMPLES // 3)
@given(sent=st.builds(pieces_of, mutated, st.integers(0, 2000)))
def test_behind_pywsgi_each_request_that_reaches_the_server_is_whole(wsgi, sent):
    """What the client meant is pywsgi's reading; what comes out of it is held to ours."""
    outcome = wsgi(sent)
    assert len(list(map(whole_request, outcome.seen))) == outcome.statuses.count(200)
