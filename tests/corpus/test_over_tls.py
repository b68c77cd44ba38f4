"""The requests of the corpus once more, over TLS: what is inside of it is judged alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from gevent import socket

from app.certificate import Certificate
from tests.corpus.test_requests import CASES, LIMITS, each, plain
from tests.proxy.peer import Peer
from tests.proxy.rig import Rig
from tests.support.raw import OK, RecordingServer
from tests.support.tls import TlsSocket, client_context, issue

Send = Callable[[bytes], tuple[list[int], list[bytes]]]
_PROTO = re.compile(rb"(\r\nX-Forwarded-Proto: |\r\nForwarded: for=127\.0\.0\.1;proto=)http([;\r])")
STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ")


@pytest.fixture(scope="module")
def send(tmp_path_factory) -> Iterator[Send]:
    """Gives the statuses of the answers, and the requests that the server saw."""
    seen: list[bytes] = []
    context = client_context()

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return OK

    def ask(data: bytes) -> tuple[list[int], list[bytes]]:
        seen.clear()
        with Peer(TlsSocket(rig.client().socket, context)) as client:
            with suppress(OSError):  # refused before it was all sent
                client.send(data).socket.shutdown(socket.SHUT_WR)
            answers = client.rest()
        return [int(status) for status in STATUS.findall(answers)], [plain(request) for request in seen]

    certificate = Certificate(*issue(tmp_path_factory.mktemp("tls")))
    with (
        RecordingServer(answer) as server,
        Rig("fast_lane", server.url, limits=LIMITS, tls=certificate) as rig,
    ):
        yield ask


@each(CASES)
def test_the_server_sees_exactly_this(send, case):
    expected = [_PROTO.sub(rb"\1https\2", request) for request in case.server]
    assert send(case.client) == (case.statuses, expected)
