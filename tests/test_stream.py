"""A stream over a pair of sockets: waits, wakes, and lets go."""

from __future__ import annotations

import _socket
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from app.stream import PartlySent, Stream
from tests.support.processes import wait_until

Ends = tuple[Stream, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A stream, and the plain socket it is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = _socket.socket()
        near.connect(listener.getsockname())
        near.setblocking(False)
        far, _ = listener.accept()
    far.settimeout(10)
    stream = Stream(near)
    yield stream, far
    stream.close()
    far.close()


def test_reads_what_is_there_and_what_is_still_to_come(ends):
    stream, far = ends
    far.sendall(b"a")
    assert stream.read() == b"a"
    gevent.spawn(far.sendall, b"b")
    assert stream.read() == b"b"
    far.shutdown(socket.SHUT_WR)
    assert stream.read() == b""


def test_writes_more_than_the_peer_takes_at_once(ends):
    stream, far = ends
    data = bytes(range(256)) * 100_000
    writing = gevent.spawn(stream.write, data)
    received = bytearray()
    while len(received) < len(data):
        received += far.recv(1 << 20)
    writing.get()
    assert received == data


def test_what_is_mentioned_while_another_writes_is_not_said(ends):
    stream, far = ends
    data = bytes(1 << 24)
    writing = gevent.spawn(stream.write, data)
    gevent.idle()
    assert not writing.dead
    gevent.spawn(stream.mention, b"between")
    gevent.idle()
    received = bytearray()
    while len(received) < len(data):
        received += far.recv(1 << 20)
    writing.get()
    assert received == data
    stream.mention(b"after")
    assert far.recv(100) == b"after"


@pytest.mark.parametrize("end", [Stream.shut, Stream.stop_reading])
def test_a_waiting_reader_can_be_told_that_the_peer_is_gone(ends, end):
    stream, _ = ends
    reading = gevent.spawn(stream.read)
    gevent.sleep(0)
    end(stream)
    assert reading.get(timeout=10) == b""


def test_a_waiting_writer_can_be_told_too(ends):
    stream, _ = ends
    writing = gevent.spawn(_outcome, stream.write, b"x" * 50_000_000)
    gevent.sleep(0)
    stream.shut()
    assert isinstance(writing.get(timeout=10), PartlySent)


def _outcome(call, data: bytes) -> OSError | None:
    try:
        call(data)
    except OSError as error:
        return error
    return None


def test_says_what_comes_when_nobody_reads(ends):
    stream, far = ends
    heard: list[bool] = []
    stream.on_idle_data = lambda: heard.append(True)
    stream.watch()
    far.sendall(b"a")
    wait_until(lambda: heard, what="the idle data")
    assert stream.read() == b"a"


def test_is_quiet_until_something_comes(ends):
    stream, far = ends
    assert stream.quiet()
    far.sendall(b"a")
    wait_until(lambda: not stream.quiet(), what="the data")
    assert stream.read() == b"a"
    assert stream.quiet()


def test_a_killed_reader_leaves_the_stream_to_the_next(ends):
    stream, far = ends
    reading = gevent.spawn(stream.read)
    gevent.sleep(0)
    reading.kill()
    far.sendall(b"a")
    assert stream.read() == b"a"


def test_may_stop_writing_and_go_on_reading(ends):
    stream, far = ends
    stream.stop_writing()
    assert far.recv(1) == b""
    far.sendall(b"a")
    assert stream.read() == b"a"


def test_an_abort_is_a_reset(ends):
    stream, far = ends
    stream.abort()
    with pytest.raises(ConnectionResetError):
        far.recv(1)


def test_closing_twice_is_allowed(ends):
    stream, far = ends
    stream.close()
    stream.close()
    stream.shut()
    assert far.recv(1) == b""
