"""The front for speed: one client connection, from accept to close, as bytes.

It is what gevent's WSGIServer takes for a handler, in `python -m app` and in our gunicorn worker. A request
is one read, a parse, an exchange and one write; what is unusual happens in functions further down.
"""

from __future__ import annotations

import _socket
import logging
from typing import Any

import gevent

from app.clock import NEVER
from app.config.model import Config
from app.errors import SerinError, WireError
from app.proxy.arrival import read_proxy_header, secure, some
from app.proxy.body_source import SMALL_BODY, BodySource, KeptBody
from app.proxy.client_body import ClientBody
from app.proxy.delivery import limit_taking, stream_body, switch
from app.proxy.exchange import Exchange
from app.proxy.gateway import Client, Gateway
from app.proxy.lookout import look_out
from app.proxy.tunnel import Tunnel
from app.stream import Stream
from app.wire.body import UPGRADED
from app.wire.forward import error_response, interim_head, provenance, response_head
from app.wire.head import Request, Response, parse_request
from app.wire.repeated import FieldLines

# A refused client may go on sending for so many seconds and bytes before the connection closes on it.
LINGER = (2.0, 16 * 1024 * 1024)

# What a client has when its time is up, to take the refusal.
LAST_WORD = 2.0

# Seconds that an idle client has, when the process is going, to send the request that may be on its way.
LAST_CALL = 1.0

log = logging.getLogger(__name__)


class FastLane:
    """One client connection. `deadline`: see Clock. `idle`: no request is under way.

    `passed`: of a body that is passed on piece by piece, the bytes that have gone.
    """

    __slots__ = (
        "_client",
        "_config",
        "_front",
        "_known",
        "_lookout",
        "_request",
        "buffer",
        "deadline",
        "expired",
        "gateway",
        "idle",
        "passed",
        "stream",
        "tunnel",
    )

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        """The signature of a gevent.pywsgi `handler_class`; `server` is a Front."""
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        # A listener for both families calls an IPv4 client ::ffff:192.0.2.1 (RFC 4291, 2.5.5.2).
        host = address[0].removeprefix("::ffff:") if address else "unknown"
        self.stream: Stream = Stream(sock._sock)
        self.stream.on_idle_data = self._stirred
        self.buffer = b""
        self.deadline = NEVER
        self.expired = False
        self.idle = True
        self.gateway: Gateway = server.application.gateway
        self._front = server
        self._introduce(host, server.tls is not None)
        self._request: Request | None = None
        self._config: Config | None = None
        self._known: FieldLines | None = None
        self._lookout: gevent.Greenlet[..., None] | None = None
        self.tunnel: Tunnel | None = None
        self.passed = 0

    def _introduce(self, address: str, secure: bool) -> None:
        said = provenance(address, "https" if secure else "http")
        self._client = Client(address.encode(), secure, said, self._interim)

    def handle(self) -> None:
        """Serve requests until the client leaves, a limit passes or the framing is lost."""
        gateway = self.gateway
        gateway.lanes.add(self)
        gateway.clock.watch(self)
        try:
            self._serve_all()
        except OSError:
            if self.expired and self._request is not None:
                self.stream.abort()  # a clean close would leave the kernel with what the client does not read
            return  # the client has gone: nobody is left to be told
        except Exception:
            log.exception("a request could not be served")
            self.stream.abort()
        finally:
            if self._lookout is not None:
                self._lookout.kill()
            gateway.clock.forget(self)
            gateway.lanes.discard(self)
            self.stream.close()

    def _serve_all(self) -> None:
        config = self.gateway.snapshot.config
        self.deadline = self.gateway.clock.now + config.timeouts.client_head
        try:
            self._arrive()
            if len(self.gateway.lanes) > min(config.limits.connections, self._front.room):
                raise WireError(503, "too_many_connections")
            while self._serve():
                # An idle connection keeps nothing of what it has carried.
                self._request = self._client.exchange = None
        except SerinError as error:
            self._refuse(error, keep=False)

    def _arrive(self) -> None:
        """Take what comes before the first request."""
        front = self._front
        if front.proxy_protocol:
            header, self.buffer = read_proxy_header(self.stream)
            if header.source is not None:
                self._introduce(header.source, header.secure or front.tls is not None)
        if front.tls is not None:
            hello, self.buffer = self.buffer or some(self.stream), b""
            self.idle = False  # a drain lets who has begun a handshake send a request
            self.stream = secure(self.stream, front.tls.context, hello, self.gateway.stats)

    def _serve(self) -> bool:
        """Serve one request; True: the connection is good for another."""
        request = self._read_request()
        if request is None:
            return False
        self._request = request
        body, source = self._request_body(request) if request.framing else (b"", None)
        gateway = self.gateway
        self.deadline = NEVER
        try:
            exchange = gateway.open(request, body, source, self._client)
        except WireError:
            raise
        except SerinError as error:
            return self._refuse(error, keep=request.keep_alive and (source is None or source.done))
        keep = request.keep_alive and not gateway.draining and exchange.request_sent
        try:
            keep = self._answer(exchange, request, keep)
        except SerinError as error:
            exchange.break_off(error)
            self.stream.abort()  # a clean end would pass the part for the whole
            return False
        except BaseException:
            exchange.abort()
            raise
        if not keep and (self.buffer or not exchange.request_sent):
            self._linger()
        return keep

    def _read_request(self) -> Request | None:
        """Wait for a whole head. None: the client has left, or its idle time is over."""
        data = self.buffer
        if not data:
            self.idle = True
            if self.gateway.draining:
                self.retire()  # the drain found this connection busy, or did not find it yet
            data = self.stream.read()
            if not data:
                return None
        self.idle = False
        config = self.gateway.snapshot.config
        if self._config is config and self._known is not None:
            request = self._known.again(data)
            if request is not None:
                self.buffer = b""
                return request
        request = self._parse(data, config)
        if request is None:
            request, data = self._read_rest_of_head(data)
        self.buffer = data[request.size :]
        return request

    def _parse(self, data: bytes, config: Config) -> Request | None:
        limits = config.limits
        request = parse_request(
            data, limits.head_bytes, limits.target_bytes, limits.headers, config.underscored_headers
        )
        if request is not None:
            self._config = config
            self._known = FieldLines.of(request, data, limits.head_bytes, limits.target_bytes)
        return request

    def _read_rest_of_head(self, data: bytes) -> tuple[Request, bytes]:
        config = self.gateway.snapshot.config
        self.deadline = self.gateway.clock.now + config.timeouts.client_head
        while True:
            more = self.stream.read()
            if not more:
                raise WireError(408 if self.expired else 400, "head_timeout" if self.expired else "head_cut")
            data += more
            # Only the end of a line, or too much without one, can change the verdict.
            if b"\n" in more or len(data) > config.limits.head_bytes:
                request = self._parse(data, config)
                if request is not None:
                    return request, data

    def _request_body(self, request: Request) -> tuple[bytes, BodySource | None]:
        """What is to be sent with the head, and what after it."""
        config = self.gateway.snapshot.config
        body = ClientBody(self, request, config.limits, config.timeouts, self.gateway.clock)
        if 0 < request.framing <= SMALL_BODY and request.header(b"expect") is None:
            return body.read_all(), None
        return b"", body if request.framing > SMALL_BODY else KeptBody(body, resumes=True)

    def _answer(self, exchange: Exchange, request: Request, keep: bool) -> bool:
        response = exchange.response
        chunked = False
        if response.framing < 0:
            if response.framing == UPGRADED:
                switch(self, exchange, request)
                return False
            chunked = request.minor > 0
            keep = keep and chunked
        out = response_head(response, request, keep, exchange.cookie)
        client_idle = self.gateway.snapshot.config.timeouts.client_idle
        if exchange.complete and not chunked:
            self.deadline = self.gateway.clock.now + client_idle
            self.stream.write(out + exchange.payload)
        else:
            stream_body(self, exchange, out, chunked)
            self.deadline = self.gateway.clock.now + client_idle
        exchange.finish()
        return keep

    def _interim(self, response: Response) -> None:
        if self._request is not None and self._request.minor > 0:
            head, before = interim_head(response), self.deadline
            limit_taking(self, len(head))
            self.stream.write(head)
            self.deadline = before  # of a request body that is on its way

    def _stirred(self) -> None:
        """The client has sent something, or left, while its request is under way. Called in the hub."""
        exchange = self._client.exchange
        if exchange is None or self.expired:  # after that it was us who ended its side
            return
        try:
            if self.stream.ended() and self._lookout is None:
                self._lookout = gevent.spawn(look_out, self.stream, self._client)
        except OSError as error:
            exchange.leave(error)

    def _refuse(self, error: SerinError, *, keep: bool) -> bool:
        """Answer with the error itself."""
        gateway, request = self.gateway, self._request
        gateway.stats.refuse(error.reason)
        if request is not None:
            gateway.identify(request)
        keep = keep and not gateway.draining
        self.deadline = gateway.clock.now + LAST_WORD
        self.stream.write(error_response(error.status, error.reason, request, keep))
        if keep:
            self.deadline = gateway.clock.now + gateway.snapshot.config.timeouts.client_idle
        else:
            self._linger()
        return keep

    def _linger(self) -> None:
        """Drop what still comes, for a while: closing on unread bytes would reset the answer away."""
        seconds, most = LINGER
        self.deadline = self.gateway.clock.now + seconds
        self.stream.stop_writing()
        while most > 0 and (data := self.stream.read()):
            most -= len(data)

    def expire(self) -> None:
        """See Clock. A first time ends the reading, so that there may be a word of why; a second time ends it all."""
        if self.expired:
            self.stream.shut()
        else:
            self.expired = True
            self.deadline = self.gateway.clock.now + LAST_WORD
            self.stream.stop_reading()

    def retire(self) -> None:
        """See Lane. A next request may be on its way to an idle connection: it is awaited for a moment."""
        if self.idle:
            self.deadline = min(self.deadline, self.gateway.clock.now + LAST_CALL)
