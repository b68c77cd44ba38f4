"""Every request is one line of the access log, whatever became of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.access_log import AccessLog
from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import RecordingServer

COMMON = r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "


class Log:
    """The lines so far, with what differs from run to run taken out."""

    def __init__(self, path: Path) -> None:
        self.log = AccessLog(str(path))
        self.log.start()
        self._path = path

    def lines(self, count: int) -> list[str]:
        wait_until(lambda: self._path.read_bytes().count(b"\n") >= count, what=f"{count} lines")
        lines = self._path.read_text().splitlines()
        assert len(lines) == count
        return [
            re.sub(rf"^{COMMON}|127\.0\.0\.1:\d+|\d\.\d{{6}}|[0-9a-f]{{12}}-\d+", "", line) for line in lines
        ]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "access.log")
    yield log
    log.log.stop()


def test_answers_and_refusals(log: Log) -> None:
    with RecordingServer() as server, Rig("fast_lane", server.url, access_log=log.log) as rig:
        with rig.client() as client:
            client.send(GET).read_until(b"ok")
            client.send(b'HEAD /a"b?c HTTP/1.1\r\nHost: a\r\nX-Request-ID: mine\r\n\r\n').head()
            client.send(b"GET / HTTP/1.1\r\n\r\n").rest()
        assert log.lines(3) == [
            '"GET / HTTP/1.1" 200 2 version=stable server= seconds= id=',
            '"HEAD /a%22b?c HTTP/1.1" 200 0 version=stable server= seconds= id=mine',
            '"-" 400 0 why=no_host',
        ]


def test_a_refused_body_names_its_request(log: Log) -> None:
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, access_log=log.log) as rig,
        rig.client() as client,
    ):
        client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n").rest()
    assert log.lines(1) == ['"POST /up HTTP/1.1" 400 0 id= why=bad_chunk']


def test_no_server(log: Log) -> None:
    with Rig("fast_lane", access_log=log.log) as rig, rig.client() as client:
        client.send(GET).read_until(b"\n")
        assert log.lines(1) == ['"GET / HTTP/1.1" 503 0 id= why=no_server']


def test_a_body_in_pieces_counts_in_full(log: Log) -> None:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        peer.send(b"4\r\ndefg\r\n0\r\n\r\n")

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, access_log=log.log) as rig,
        rig.client() as client,
    ):
        client.send(GET).read_until(b"0\r\n\r\n")
        assert log.lines(1) == ['"GET / HTTP/1.1" 200 7 version=stable server= seconds= id=']


def test_a_large_body_counts_in_full(log: Log) -> None:
    size = 3 * 1024 * 1024

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, access_log=log.log) as rig,
        rig.client() as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").rest()
        assert log.lines(1) == [f'"GET / HTTP/1.1" 200 {size} version=stable server= seconds= id=']


def test_a_cut_answer_says_why(log: Log) -> None:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nabc")

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, access_log=log.log) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        assert log.lines(1) == ['"GET / HTTP/1.1" 200 3 version=stable server= seconds= id= why=truncated']


def test_a_client_that_leaves_before_its_answer(log: Log) -> None:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url, access_log=log.log) as rig:
        with rig.client() as client:
            client.send(GET)
            wait_until(lambda: rig.load(server.url).in_flight, what="a request under way")
        assert log.lines(1) == ['"GET / HTTP/1.1" 499 0 id= why=client_left']
