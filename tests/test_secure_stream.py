"""A secure stream against OpenSSL over a socket: the same as a plain one, and no end without a word."""

from __future__ import annotations

import _socket
import errno
import hashlib
import inspect
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket, ssl

from app.secure_stream import RECORD, SecureStream, accept
from app.stream import PartlySent, Stream
from tests.support.processes import wait_until
from tests.support.tls import TlsSocket, client_context, server_context

Ends = tuple[SecureStream, TlsSocket]
SERVER, CLIENT = server_context(), client_context()
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
BIG = bytes(range(256)) * 40_000


def pair() -> tuple[Stream, socket.socket]:
    """A stream, and the plain socket it is connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = _socket.socket()
        near.connect(listener.getsockname())
        near.setblocking(False)
        far, _ = listener.accept()
    far.settimeout(10)
    return Stream(near), far


def connected(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Ends:
    """A server's stream, and the client that it has agreed with."""
    stream, sock = pair()
    accepting = gevent.spawn(lambda: accept(stream, SERVER, stream.read()))
    context = client_context()
    context.maximum_version = version
    client = TlsSocket(sock, context)
    return accepting.get(timeout=10), client


@pytest.fixture
def ends() -> Iterator[Ends]:
    stream, client = connected()
    yield stream, client
    stream.close()
    client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_carries_much_both_ways_at_once(version):
    stream, client = connected(version)
    writing = [gevent.spawn(stream.write, BIG), gevent.spawn(client.sendall, BIG)]
    digests = [gevent.spawn(digest, read) for read in (stream.read, lambda: client.recv(1 << 20))]
    gevent.joinall([*writing, *digests], timeout=20)
    assert [each.value for each in digests] == [hashlib.sha256(BIG).hexdigest()] * 2
    stream.close()
    client.close()


def digest(read: Callable[[], bytes]) -> str:
    seen, size = hashlib.sha256(), 0
    while size < len(BIG):
        data = read()
        seen.update(data)
        size += len(data)
    return seen.hexdigest()


def test_a_stream_can_be_the_client_too():
    near, sock = pair()
    context = server_context()
    serving = gevent.spawn(lambda: context.wrap_socket(sock, server_side=True))
    stream = SecureStream(near, CLIENT, server_hostname="localhost")
    stream.handshake()
    server = serving.get(timeout=10)
    stream.write(b"ping")
    assert server.recv(10) == b"ping"
    server.sendall(b"pong")
    assert stream.read() == b"pong"
    stream.close()
    server.close()


def test_a_clean_end_is_an_end(ends):
    stream, client = ends
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert [stream.read(), stream.read(), stream.read()] == [b"last", b"", b""]
    stream.write(b"answer")
    assert client.recv(100) == b"answer"


@pytest.mark.parametrize("version", VERSIONS)
def test_an_end_without_a_word_is_none(version):
    stream, client = connected(version)
    client.sendall(b"first")
    client.close()
    assert stream.read() == b"first"
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            stream.read()
    stream.close()


def test_what_is_not_tls_is_an_error(ends):
    stream, client = ends
    client.plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        stream.read()
    told = outcome(lambda: client.recv(1))
    assert isinstance(told, ssl.SSLError)
    assert "ALERT" in told.reason


def test_a_reader_never_waits_for_a_peer_that_does_not_read(ends):
    """Whatever TLS has to reply goes with what is being written already."""
    stream, client = ends
    writing = gevent.spawn(outcome, lambda: stream.write(b"x" * 50_000_000))
    wait_until(stream._sending.locked, what="the writer")
    client.plain.sendall(b"this calls for an alert")
    assert isinstance(gevent.spawn(outcome, stream.read).get(timeout=5), ssl.SSLError)
    assert not writing.ready()
    writing.kill()


@pytest.mark.parametrize("end", [Stream.shut, Stream.stop_reading])
def test_a_waiting_reader_can_be_told_that_the_peer_is_gone(ends, end):
    stream, _ = ends
    reading = gevent.spawn(outcome, stream.read)
    gevent.sleep(0)
    getattr(stream, end.__name__)()
    if end is Stream.stop_reading:
        assert reading.get(timeout=10) == b""
    else:
        assert isinstance(reading.get(timeout=10), ConnectionResetError)


def outcome(call: Callable[[], object]) -> object:
    """What it gives, or the error it raises."""
    try:
        return call()
    except OSError as error:
        return error


def test_who_was_told_to_read_no_more_may_still_answer(ends):
    stream, client = ends
    stream.stop_reading()
    assert stream.read() == b""
    stream.write(b"408")
    assert client.recv(100) == b"408"


def test_may_stop_writing_and_go_on_reading(ends):
    stream, client = ends
    stream.write(b"all")
    stream.stop_writing()
    assert [client.recv(100), client.recv(100)] == [b"all", b""]
    client.sendall(b"still here")
    assert stream.read() == b"still here"
    assert isinstance(outcome(lambda: stream.write(b"more")), ssl.SSLError)


def test_both_sides_may_end_one_after_the_other(ends):
    stream, client = ends
    stream.stop_writing()
    assert client.recv(1) == b""
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert [stream.read(), stream.read()] == [b"last", b""]


def test_stops_writing_while_there_is_something_to_read(ends):
    stream, client = ends
    client.sendall(b"unread")
    wait_until(lambda: stream.ended() or stream._ahead, what="the bytes")
    stream.stop_writing()
    assert client.recv(100) == b""
    assert stream.read() == b"unread"


def test_a_close_is_a_clean_end(ends):
    stream, client = ends
    stream.write(b"all")
    stream.close()
    stream.close()
    assert [client.recv(100), client.recv(100)] == [b"all", b""]


def test_an_abort_is_a_reset(ends):
    stream, client = ends
    stream.abort()
    stream.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_close_after_a_cut_write_is_no_clean_end(ends):
    stream, client = ends
    writing = gevent.spawn(stream.write, b"x" * 50_000_000)
    gevent.sleep(0)
    writing.kill()
    stream.close()
    ending = outcome(lambda: received_from(client))
    assert isinstance(ending, ssl.SSLError | ConnectionResetError)


def received_from(client: TlsSocket) -> bytes:
    """All up to a clean end."""
    received = bytearray()
    while block := client.recv(1 << 20):
        received += block
    return bytes(received)


class Failing:
    """A stream that is lost after some writes, between two records."""

    def __init__(self, stream: Stream, writes: int) -> None:
        self._stream = stream
        self._writes = writes

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, data: bytes) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise BrokenPipeError(errno.EPIPE, "lost")
        self._stream.write(data)


def test_a_write_cut_between_two_records_is_no_clean_end_either(ends):
    stream, client = ends
    stream._stream = Failing(stream._stream, 2)
    assert isinstance(outcome(lambda: stream.write(b"x" * (3 * RECORD))), PartlySent)
    stream.close()
    assert isinstance(outcome(lambda: received_from(client)), ssl.SSLEOFError)


def test_a_write_that_fails_tells_whether_any_of_it_is_on_its_way(ends):
    stream, _ = ends
    writing = gevent.spawn(outcome, lambda: stream.write(b"x" * 50_000_000))
    gevent.sleep(0)
    stream.shut()
    assert isinstance(writing.get(timeout=10), PartlySent)
    nothing = outcome(lambda: stream.write(b"x" * (2 * RECORD)))
    assert isinstance(nothing, OSError)
    assert not isinstance(nothing, PartlySent)


def test_a_peer_that_does_not_read_holds_the_writer_back(ends):
    stream, _ = ends
    writing = gevent.spawn(stream.write, b"x" * 50_000_000)
    wait_until(stream._sending.locked, what="the writer")
    assert not writing.ready()
    assert stream._outgoing.pending <= 2 * RECORD
    writing.kill()


def test_session_tickets_stir_nobody():
    """A TLS 1.3 server sends them after the handshake; OpenSSL's client has read nothing of them yet."""
    near, sock = pair()
    serving = gevent.spawn(lambda: SERVER.wrap_socket(sock, server_side=True))
    stream = SecureStream(near, CLIENT, server_hostname="localhost")
    heard: list[bool] = []
    stream.on_idle_data = lambda: heard.append(True)
    stream.handshake()
    stream.watch()
    server = serving.get(timeout=10)
    wait_until(lambda: stream.session is not None and stream.session.has_ticket, what="the tickets")
    assert heard == []
    server.sendall(b"a")
    wait_until(lambda: heard, what="real data")
    assert stream.read() == b"a"
    stream.close()
    server.close()


def test_is_quiet_until_something_comes(ends):
    stream, client = ends
    assert stream.quiet()
    client.sendall(b"a")
    wait_until(lambda: not stream.quiet(), what="the data")
    assert not stream.quiet()
    assert stream.read() == b"a"
    assert stream.quiet()


def test_is_quiet_while_only_tls_has_something_to_say():
    near, sock = pair()
    serving = gevent.spawn(lambda: SERVER.wrap_socket(sock, server_side=True))
    stream = SecureStream(near, CLIENT, server_hostname="localhost")
    stream.handshake()
    server = serving.get(timeout=10)
    wait_until(lambda: not near.quiet(), what="the tickets")
    assert stream.quiet()
    assert near.quiet()
    stream.close()
    server.close()


@pytest.mark.parametrize("clean", [True, False])
def test_an_end_stirs(ends, clean):
    stream, client = ends
    heard: list[bool] = []
    stream.on_idle_data = lambda: heard.append(True)
    stream.watch()
    if clean:
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: heard, what="the end")
        assert stream.ended()
    else:
        client.close()
        wait_until(lambda: heard, what="the end")
        with pytest.raises(ConnectionResetError):
            stream.ended()


def test_what_came_while_nobody_read_is_read_later(ends):
    stream, client = ends
    stream.watch()
    client.sendall(BIG[: 3 * RECORD])
    wait_until(lambda: stream._ahead, what="the data")
    assert not stream.ended()
    received = b""
    while len(received) < 3 * RECORD:
        received += stream.read()
    assert received == BIG[: 3 * RECORD]


def test_a_handshake_takes_over_who_listens_for_idle_data():
    stream, sock = pair()
    heard: list[bool] = []
    stream.on_idle_data = lambda: heard.append(True)
    accepting = gevent.spawn(lambda: accept(stream, SERVER, stream.read()))
    client = TlsSocket(sock, CLIENT)
    secure = accepting.get(timeout=10)
    secure.watch()
    client.sendall(b"a")
    wait_until(lambda: heard, what="the data")
    secure.close()
    client.close()


def test_a_peer_that_goes_after_its_end_is_noticed(ends):
    stream, client = ends
    client.shutdown(socket.SHUT_WR)
    wait_until(stream.ended, what="the end")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    wait_until(lambda: isinstance(outcome(stream.ended), OSError), what="the reset")


def test_does_by_itself_whatever_a_stream_does():
    """What it inherited instead would go past TLS."""
    public = {name for name, _ in inspect.getmembers(Stream, inspect.isfunction) if not name.startswith("_")}
    only_plain = {"fileno", "wait_readable", "wait_writable"}
    assert public - vars(SecureStream).keys() == only_plain
    assert not SecureStream.plain
