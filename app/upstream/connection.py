"""One connection to a server: bytes out, a response head and body bytes back.

The one place where what the network does wrong becomes an UpstreamError.
"""

from __future__ import annotations

import _socket
import errno
import ssl
from collections.abc import Callable

import gevent
from gevent.hub import get_hub

from app.clock import NEVER
from app.errors import UpstreamError, WireError
from app.pipe import Pipe
from app.stream import WRITE, PartlySent, Stream
from app.upstream.address import Endpoint
from app.wire.body import UPGRADED
from app.wire.head import Response, parse_response

_REASONS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "connect_timeout",
    errno.ENOENT: "unreachable",
    errno.EACCES: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "out_of_sockets",
    errno.ENFILE: "out_of_sockets",
    errno.EADDRNOTAVAIL: "out_of_sockets",
}

# Seconds between two attempts at a unix socket whose queue is full.
FULL_QUEUE_PAUSE = 0.01


def upstream_error(error: OSError, *, sent: bool = True) -> UpstreamError:
    """Ours for what the socket raised, or TLS."""
    return UpstreamError(_reason(error), 502, sent=sent)


def _reason(error: OSError) -> str:
    """The numbers of an SSLError are OpenSSL's, not the system's."""
    if isinstance(error, ssl.SSLError):
        return "tls_certificate" if isinstance(error, ssl.SSLCertVerificationError) else "tls"
    return _REASONS.get(error.errno or 0, "network")


def no_connection(error: OSError) -> UpstreamError:
    """The server is not there, or we cannot go there: later it may be otherwise (RFC 9110, 15.6.4)."""
    return UpstreamError(_reason(error), 503, sent=False)


def connect_timeout() -> UpstreamError:
    """The server did not take a connection in time."""
    return UpstreamError("connect_timeout", 504, sent=False)


def open_socket(endpoint: Endpoint, timeout: float) -> _socket.socket:
    """Connect within `timeout` seconds. Raises UpstreamError: 503, or 504 when time ran out."""
    family, address = endpoint
    try:
        sock = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    except OSError as error:
        raise no_connection(error) from error
    try:
        if family != _socket.AF_UNIX:
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        with gevent.Timeout(timeout, connect_timeout()):
            code = _connect(sock, address)
        if code:
            raise no_connection(OSError(code, "connect"))
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(sock: _socket.socket, address: tuple[str, int] | str) -> int:
    """Wait until connected. Returns 0, or the number of the error."""
    code = sock.connect_ex(address)
    # A unix socket whose queue is full (connect(2)): nothing tells when it has room.
    while code == errno.EAGAIN:
        gevent.sleep(FULL_QUEUE_PAUSE)
        code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        _wait_writable(sock)
        code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
    return code


def _wait_writable(sock: _socket.socket) -> None:
    hub = get_hub()
    watcher = hub.loop.io(sock.fileno(), WRITE)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()


class Connection:
    """A connection is lent to one exchange at a time; in between it waits, idle, in its pool.

    `deadline` is swept by the clock: in use, the server has until then to say something; idle, it is closed.
    `answered`: the server has said something in the exchange under way; `hinted`: an interim response.
    """

    __slots__ = (
        *("_acknowledged", "_on_idle_end", "answered", "deadline", "hinted"),
        *("idle", "stream", "timed_out"),
    )

    def __init__(self, stream: Stream, on_idle_end: Callable[[Connection], None]) -> None:
        self.stream = stream
        self.deadline = NEVER
        self.idle = False
        self.answered = False
        self.hinted = False
        self.timed_out = False
        self._acknowledged: int | None = None
        self._on_idle_end = on_idle_end
        stream.on_idle_data = self._idle_data

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises UpstreamError, whose `sent` is about these data."""
        try:
            self.stream.write(data)
        except OSError as error:
            raise self._error(error, sent=isinstance(error, PartlySent)) from error

    def send_from(self, pipe: Pipe, held: int) -> int:
        """Send what the server takes of the pipe's `held` bytes: how many. Raises UpstreamError."""
        try:
            return pipe.pour(self.stream, held)
        except OSError as error:
            raise self._error(error) from error

    def mark(self) -> None:
        """Begin to watch, for `untouched`, how much the server's kernel takes."""
        self._acknowledged = self.stream.acknowledged()

    def untouched(self) -> bool:
        """Is it certain that the server's kernel has taken no byte since `mark`?

        One that has closed the connection answers with a reset and acknowledges nothing.
        """
        return self._acknowledged is not None and self._acknowledged == self.stream.acknowledged()

    def receive(self) -> bytes:
        """Wait for bytes; b"" at the end of the stream. Raises UpstreamError."""
        try:
            data = self.stream.read()
        except OSError as error:
            raise self._error(error) from error
        if not data and self.timed_out:
            raise UpstreamError("timeout", 504)
        return data

    def receive_into(self, pipe: Pipe, most: int) -> int:
        """As `receive`, into a pipe: how many bytes came, 0 at the end of the stream."""
        try:
            held = pipe.fill(self.stream, most)
        except OSError as error:
            raise self._error(error) from error
        if not held and self.timed_out:
            raise UpstreamError("timeout", 504)
        return held

    def receive_head(
        self, method: bytes, head_bytes: int, interim: Callable[[Response], None]
    ) -> tuple[Response, bytes]:
        """Wait for the final response's head, or a 101; `interim` gets each other 1xx (RFC 9110, 15.2).

        Those together may be as long as a head. Returns it with the bytes that came after it.
        Raises UpstreamError.
        """
        data, left = b"", head_bytes
        try:
            while True:
                more = self.receive()
                if not more:
                    raise UpstreamError("closed_in_head" if data else "closed")
                self.answered = True
                data += more
                while data and (response := parse_response(data, method, head_bytes)) is not None:
                    data = data[response.size :]
                    if response.status >= 200 or response.framing == UPGRADED:
                        return response, data
                    left -= response.size
                    if left < 0:
                        raise UpstreamError("too_many_interim")
                    self.hinted = True
                    interim(response)
        except WireError as error:
            raise UpstreamError(error.reason) from error

    def _error(self, error: OSError, *, sent: bool = True) -> UpstreamError:
        return UpstreamError("timeout", 504) if self.timed_out else upstream_error(error, sent=sent)

    def _idle_data(self) -> None:
        if self.idle:
            self._on_idle_end(self)

    def expire(self) -> None:
        """See Limited."""
        if self.idle:
            self._on_idle_end(self)
        else:
            self.timed_out = True
            self.stream.shut()

    def close(self) -> None:
        """Close; allowed twice."""
        self.stream.on_idle_data = None
        self.stream.close()
