"""One request at one server, from the choice to the outcome."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import gevent

from app.balance.balancer import Choice
from app.clock import NEVER, Clock
from app.config.model import Timeouts
from app.errors import SerinError, UpstreamError
from app.pipe import WORTH_A_PIPE, Pipe, open_pipe
from app.proxy.body_source import BodySource
from app.proxy.stats import OURS, VersionStats
from app.upstream.connection import Connection
from app.upstream.pool import Pool
from app.wire.body import CHUNKED, LAST_CHUNK, UPGRADED, Decoder, Sized, chunk, decoder
from app.wire.head import Request, Response
from app.wire.upgrade import accepts

# Bytes of an answer that is passed on in one piece. Many servers send its head first, then its body.
SMALL_ANSWER = 16 * 1024


class Exchange:
    """`converse`, then `read` until `complete`, then `finish`. `fail` or `abort` instead, at any time.

    `payload` is what came of the body together with the head; it may be all of it, or nothing.
    `cookie` is the Set-Cookie value that the answer must carry, if any.
    `request_sent`: the server has been given the whole request.
    `between_chunks`: the front has passed on whole chunks and waits for more.
    `fault`: what broke the client's side, which is then what everything else failed of.
    `started`, `ends`: when the exchange began, in monotonic time, and when the time for the whole request is over,
    in the clock's.
    """

    __slots__ = (
        "_clock",
        "_decoder",
        "_passed",
        "_pump",
        "_stats",
        "_timeouts",
        "between_chunks",
        "complete",
        "connection",
        "cookie",
        "ends",
        "fault",
        "load",
        "payload",
        "pool",
        "request",
        "request_sent",
        "response",
        "server",
        "started",
    )

    def __init__(
        self, request: Request, choice: Choice, stats: VersionStats, timeouts: Timeouts, clock: Clock
    ) -> None:
        self.server = server = choice.server
        self.load = load = server.load
        load.in_flight += 1
        self.pool: Pool = load.pool
        self.request = request
        self.connection: Connection | None = None
        self.cookie: bytes | None = None
        self.complete = False
        self.between_chunks = False
        self._stats = stats
        self._timeouts = timeouts
        self._clock = clock
        self.started = monotonic()
        self.ends = NEVER if timeouts.request is None else clock.now + timeouts.request
        self._pump: gevent.Greenlet[..., None] | None = None
        self._passed = 0
        self.fault: SerinError | OSError | None = None
        self._decoder: Decoder | None = None
        self.request_sent = True

    def converse(
        self,
        connection: Connection,
        message: bytes,
        more: BodySource | None,
        head_bytes: int,
        interim: Callable[[Response], None],
    ) -> None:
        """Send the request on `connection` and wait for the response's head. Raises SerinError or OSError."""
        self.connection = connection
        self._limit(connection, self._timeouts.head)
        try:
            connection.send(message)
            if more is not None:
                self.request_sent = False
                self._pump = gevent.spawn(self._send_body, connection, more)
            response, rest = connection.receive_head(self.request.method, head_bytes, interim)
            if len(rest) < response.framing <= SMALL_ANSWER and self.request_sent:
                rest = self._gather(connection, rest, response.framing)
        except UpstreamError as error:
            raise self.fault or error from None
        self.response = response
        connection.deadline = self.ends
        if response.framing == len(rest):
            self.payload = rest
            self.complete = True
        else:
            if response.framing == UPGRADED and not accepts(self.request.upgrade, response.upgrade):
                raise UpstreamError("unasked_upgrade")
            self._decoder = decoder(response.framing)
            self.payload = self._decode(self._decoder, rest)
        self._stats.answer(response.status, monotonic() - self.started, self.request.bucket)

    @staticmethod
    def _gather(connection: Connection, body: bytes, size: int) -> bytes:
        """Wait for the rest of a small answer, while another try can still replace it."""
        while len(body) < size:
            more = connection.receive()
            if not more:
                raise UpstreamError("truncated")
            body += more
        return body

    def _limit(self, connection: Connection, seconds: float) -> None:
        deadline = self._clock.now + seconds
        # Not min(): this runs for every request, and a call costs more than the comparison.
        connection.deadline = deadline if deadline < self.ends else self.ends  # noqa: FURB136

    def _send_body(self, connection: Connection, source: BodySource) -> None:
        """Pass the rest of the body on as it comes, in a greenlet beside the one that reads the response."""
        chunked = self.request.framing == CHUNKED
        try:
            while payload := self._from_client(connection, source):
                connection.send(chunk(payload) if chunked else payload)
                self._passed += 1
                if connection.stream.plain and source.left >= WORTH_A_PIPE and (pipe := open_pipe()):
                    self._splice_body(connection, source, pipe)
            if chunked:
                connection.send(LAST_CHUNK)
            self.request_sent = True
        except UpstreamError:
            return  # an answer may be on its way all the same; if not, the reader finds out
        except (SerinError, OSError) as fault:
            self.leave(fault)

    def _splice_body(self, connection: Connection, source: BodySource, pipe: Pipe) -> None:
        with pipe:
            while source.left:
                self._limit_sending(connection, NEVER)
                held = source.read_into(pipe)
                while held:
                    self._limit_sending(connection, self._timeouts.head)
                    held -= connection.send_from(pipe, held)
                    self._passed += 1

    def _from_client(self, connection: Connection, source: BodySource) -> bytes:
        """The server's time does not run while the client's body is awaited."""
        self._limit_sending(connection, NEVER)
        payload = source.read()
        self._limit_sending(connection, self._timeouts.head)
        return payload

    def _limit_sending(self, connection: Connection, seconds: float) -> None:
        """Once the response has begun, its own limits hold."""
        if self.waiting:
            self._limit(connection, seconds)

    def end_sending(self) -> None:
        """Wait until the request has been sent; give up on it when the server takes no more of it for long."""
        while self._pump is not None and not self._pump.dead:
            before = self._passed
            self._pump.join(self._timeouts.head)
            if self._passed == before:
                self._pump.kill()

    def stop_sending(self) -> None:
        """Send no more of the request, and wait until that is so: two must not read from one client."""
        if self._pump is not None:
            self._pump.kill()

    @property
    def waiting(self) -> bool:
        """Is the head of the response still to come?"""
        return self._decoder is None and not self.complete

    def leave(self, fault: SerinError | OSError) -> None:
        """The client's side has failed: end the server's work now. Whoever waits for the server gets `fault`."""
        self.fault = fault
        if self.connection is not None:
            self.connection.stream.shut()

    def read(self) -> bytes:
        """Wait for the next bytes of the body; b"" at its end.

        Raises UpstreamError when it is cut short, or what broke the request that was still on its way.
        """
        try:
            return self._read()
        except UpstreamError as error:
            raise self.fault or error from None

    def _read(self) -> bytes:
        body = self._decoder
        while body is not None and not self.complete:
            data = self._receive()
            # What we cut ourselves is not whole, even if its end is the connection's.
            if not data and (self.fault is not None or not body.end()):
                raise UpstreamError("truncated")
            payload = self._decode(body, data)
            if payload:
                return payload
        return b""

    @property
    def left(self) -> int:
        """How many bytes of the response's body may still come by a pipe.

        Not the last: `read` takes that, and sees what the server says beyond.
        """
        plain = self.connection is not None and self.connection.stream.plain
        return self._decoder.left - 1 if plain and isinstance(self._decoder, Sized) else 0

    def read_into(self, pipe: Pipe) -> int:
        """As `read`, into a pipe, while bytes are `left`: how many came."""
        connection, body = self.connection, self._decoder
        assert connection is not None
        assert isinstance(body, Sized)
        self._limit(connection, self._timeouts.upstream_idle)
        try:
            held = connection.receive_into(pipe, self.left)
            if not held:
                raise UpstreamError("truncated")
        except UpstreamError as error:
            raise self.fault or error from None
        connection.deadline = self.ends
        body.skip(held)
        return held

    def _receive(self) -> bytes:
        connection = self.connection
        assert connection is not None
        self._limit(connection, self._timeouts.upstream_idle)
        data = connection.receive()
        connection.deadline = self.ends
        return data

    def _decode(self, body: Decoder, data: bytes) -> bytes:
        try:
            payload = body.feed(data)
        except SerinError as error:
            raise UpstreamError(error.reason) from error
        self.complete = body.done
        return payload

    def finish(self) -> None:
        """The client has had all of it. The connection serves others, unless something is left on it."""
        body, connection, response, load = self._decoder, self.connection, self.response, self.load
        if response.status < 500:
            load.in_a_row = 0
        if response.keep_alive and (body is None or not body.rest) and self.request_sent:
            assert connection is not None
            self.connection = None
            load.in_flight -= 1
            load.requests += 1
            self.pool.give(connection, self._timeouts.upstream_idle)
            if load.on_free is not None:
                load.on_free(load)
        else:
            self._release()

    def drop(self) -> None:
        """Nobody wants this answer."""
        if self.complete:
            self.finish()
        else:
            self._release()

    def abort(self) -> None:
        """The client has gone, or broke its side of the exchange."""
        self._stats.aborts += 1
        if not self.waiting:
            self._stats.left += 1
        self._release()

    def fail(self, reason: str) -> None:
        """The server did not do its part, and has not begun an answer."""
        self._stats.fail(reason, self.request.bucket)
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        self.load.failures += 1
        self._release()
        if reason not in OURS:
            self.load.fail()

    def break_off(self, error: SerinError) -> None:
        """The answer cannot be ended: by the server's fault or, as in `abort`, the client's."""
        if isinstance(error, UpstreamError):
            self._stats.break_off(error.reason, self.response.status, self.request.bucket)
            self._fail(error.reason)
        else:
            self.abort()

    def _release(self) -> None:
        load = self.load
        load.in_flight -= 1
        load.requests += 1
        if load.on_free is not None:
            load.on_free(load)
        if self.connection is not None:
            self.pool.drop(self.connection)
            self.connection = None
        self.stop_sending()
