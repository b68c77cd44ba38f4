"""The front for every WSGI server: the same gateway behind a Werkzeug application.

Whatever server runs it has parsed the request with its own rules; the head is put together again from the
environ and goes through ours, so that nothing reaches a server that the fast lane would have refused. Under
gevent's WSGIServer with the fast lane as its handler, this app only lends its gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any, cast

from werkzeug.wrappers import Response as WerkzeugResponse

from app.clock import NEVER
from app.errors import SerinError, WireError
from app.proxy.body_source import SMALL_BODY, BodySource, KeptBody
from app.proxy.downstream import Downstream, announce_close
from app.proxy.environ import head_bytes
from app.proxy.exchange import Exchange
from app.proxy.gateway import Client, Gateway
from app.proxy.tunnel import Tunnel
from app.wire.body import CHUNKED, UPGRADED
from app.wire.forward import error_response, provenance, response_head
from app.wire.head import Request, parse_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

READ_SIZE = 16 * 1024


class ProxyApp:
    """`gateway` is also what the fast lane looks for on its server's application."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        downstream = Downstream(environ)
        request = None
        try:
            request, begun = self._request(environ, downstream)
            exchange = self._open(environ, request, begun, downstream)
        except SerinError as error:
            return self._refuse(error, request, downstream, start_response)(environ, start_response)
        if exchange.response.framing == UPGRADED:
            return self._switch(exchange, request, downstream)
        if self.gateway.draining or not request.keep_alive or not exchange.request_sent:
            announce_close(start_response)
        head = response_head(exchange.response, request, True, exchange.cookie)
        return _from_head(head, RelayedBody(exchange, downstream))(environ, start_response)

    def _request(self, environ: WSGIEnvironment, downstream: Downstream) -> tuple[Request, bytes]:
        """The request, and the begin of a body whose length HTTP/2 left unsaid."""
        begun, length = b"", None
        if downstream.http_2 and not environ.get("CONTENT_LENGTH"):
            begun = _read(environ["wsgi.input"], READ_SIZE)
            if begun:
                length = len(begun) if len(begun) < READ_SIZE else CHUNKED
        config = self.gateway.snapshot.config
        limits = config.limits
        request = parse_request(
            head_bytes(environ, length),
            limits.head_bytes,
            limits.target_bytes,
            limits.headers,
            config.underscored_headers,
        )
        assert request is not None  # what ends with an empty line is a head, or refused
        if request.upgrade and not downstream.can_switch:
            _refuse_upgrade(request)
        return request, begun

    def _open(
        self, environ: WSGIEnvironment, request: Request, begun: bytes, downstream: Downstream
    ) -> Exchange:
        address, secure = environ.get("REMOTE_ADDR") or "unknown", downstream.secure
        told = provenance(address, "https" if secure else "http")
        client = Client(address.encode(), secure, told, partial(downstream.interim, request))
        if not request.framing:
            return self.gateway.open(request, b"", None, client)
        limit = self.gateway.snapshot.config.limits.body_bytes
        body = InputBody(environ["wsgi.input"], request.framing, limit, begun)
        if 0 < request.framing <= SMALL_BODY:
            return self.gateway.open(request, b"".join(iter(body.read, b"")), None, client)
        kept = KeptBody(body, resumes=False) if request.framing == CHUNKED else None
        return self.gateway.open(request, b"", kept or body, client)

    def _refuse(
        self,
        error: SerinError,
        request: Request | None,
        downstream: Downstream,
        start_response: StartResponse,
    ) -> WerkzeugResponse:
        """Answer with the error itself. After one on the wire the connection cannot be used further."""
        self.gateway.stats.refuse(error.reason)
        if request is not None:
            self.gateway.identify(request)
        head, _, text = error_response(error.status, error.reason, request, True).partition(b"\r\n\r\n")
        if not isinstance(error, WireError):
            return _from_head(head, [text])
        announce_close(start_response)
        return _from_head(head, LastWord(text, downstream))

    def _switch(self, exchange: Exchange, request: Request, downstream: Downstream) -> Iterable[bytes]:
        """The server has agreed to another protocol: HTTP ends here."""
        from gunicorn.workers.base_async import ALREADY_HANDLED  # noqa: PLC0415  # only gunicorn can switch

        assert exchange.connection is not None
        gateway, connection = self.gateway, exchange.connection
        connection.deadline = NEVER
        stream, early = downstream.switch()
        lane = SwitchedLane(Tunnel(stream, connection.stream, gateway))
        gateway.lanes.add(lane)
        try:
            stream.write(response_head(exchange.response, request, True, exchange.cookie))
            if not gateway.draining:
                lane.tunnel.run(exchange.payload, early)
        finally:
            gateway.lanes.discard(lane)
            exchange.finish()
            stream.shut()
        return cast(Iterable[bytes], ALREADY_HANDLED)


@dataclass(frozen=True, slots=True, eq=False)
class SwitchedLane:
    """A Lane (see gateway) that has become a tunnel."""

    tunnel: Tunnel

    def retire(self) -> None:
        """See Lane: the gateway ends tunnels when nothing else is left."""


def _refuse_upgrade(request: Request) -> None:
    """A server must not agree to what we cannot do. A WebSocket handshake makes no sense without."""
    if b"websocket" in request.upgrade.lower():
        raise WireError(501, "upgrade_not_supported")
    request.upgrade = b""


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except Exception as error:  # a broken framing: each WSGI server has its own errors for it
        raise WireError(400, "body_cut") from error


class InputBody(BodySource):
    """A BodySource over `wsgi.input`, which the WSGI server has taken out of its framing."""

    def __init__(self, stream: IO[bytes], framing: int, limit: int | None, begun: bytes = b"") -> None:
        """`begun`: what has been read of it already."""
        self._stream = stream
        self._begun = begun
        self._left = None if framing == CHUNKED else framing
        self._size = 0
        self._limit = limit
        self._check_size(framing)

    def read(self) -> bytes:
        """See BodySource. Raises WireError: 400 cut short or malformed, 413 too large."""
        want = READ_SIZE if self._left is None else min(READ_SIZE, self._left)
        data, self._begun = self._begun or _read(self._stream, want), b""
        if self._left is not None:
            if want and not data:
                raise WireError(400, "body_cut")
            self._left -= len(data)
        self._size += len(data)
        self._check_size(self._size)
        return data

    def _check_size(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise WireError(413, "body_too_large")


class RelayedBody:
    """A response body on its way to the WSGI server."""

    def __init__(self, exchange: Exchange, downstream: Downstream) -> None:
        self._exchange: Exchange | None = exchange
        self._downstream = downstream

    def __iter__(self) -> Iterator[bytes]:
        """Give the payload as it comes. Of a body cut short the client sees that it is."""
        exchange = self._exchange
        if exchange is None:
            return
        if self._downstream.http_2:
            exchange.end_sending()
        if exchange.payload:
            yield exchange.payload
        try:
            while not exchange.complete:
                if payload := exchange.read():
                    yield payload
        except SerinError as error:
            self._exchange = None
            exchange.break_off(error)
            raise self._downstream.broken(error.reason) from error

    def close(self) -> None:
        """Called by the WSGI server at the end, whatever the end was (PEP 3333)."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if exchange.complete:
            exchange.finish()
        else:
            exchange.abort()
        if not exchange.request_sent:
            self._downstream.linger()


class LastWord:
    """The text of a refusal after which nothing more is read as a request."""

    def __init__(self, text: bytes, downstream: Downstream) -> None:
        self._text = text
        self._downstream = downstream

    def __iter__(self) -> Iterator[bytes]:
        """All of it."""
        yield self._text

    def close(self) -> None:
        """Called by the WSGI server when the client has it (PEP 3333)."""
        self._downstream.linger()


class _Response(WerkzeugResponse):
    """Adds nothing to what the server said."""

    default_mimetype = None


def _from_head(head: bytes, body: Any) -> WerkzeugResponse:
    status_line, _, lines = head.strip(b"\r\n").decode("latin-1").partition("\r\n")
    fields = [line.split(":", 1) for line in lines.split("\r\n")] if lines else []
    response = _Response(body, status=status_line.partition(" ")[2], direct_passthrough=True)
    for name, value in fields:
        # PEP 3333: hop-by-hop fields are the WSGI server's own business.
        if name.lower() not in ("connection", "transfer-encoding"):
            response.headers.add(name, value.strip(" \t"))
    return response
