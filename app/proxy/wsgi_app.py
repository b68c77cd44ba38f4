"""The front for every WSGI server: the same gateway behind a Werkzeug application.

Whatever server runs it has parsed the request with its own rules; the head is put together again from the
environ and goes through ours, so that nothing reaches a server that the fast lane would have refused. Under
gevent's WSGIServer with the fast lane as its handler, this app only lends its gateway.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.wrappers import Response as WerkzeugResponse

from app.errors import SerinError, WireError
from app.proxy.exchange import SMALL_BODY, Exchange
from app.proxy.gateway import Client, Gateway
from app.wire.body import CHUNKED
from app.wire.forward import error_response, provenance, response_head
from app.wire.head import Request, Response, parse_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

READ_SIZE = 16 * 1024


class ProxyApp:
    """`gateway` is also what the fast lane looks for on its server's application."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        return self._respond(environ)(environ, start_response)

    def _respond(self, environ: WSGIEnvironment) -> WerkzeugResponse:
        request = None
        try:
            request = self._request(environ)
            exchange = self._open(environ, request)
        except SerinError as error:
            self.gateway.stats.refuse(error.reason)
            if request is not None:
                self.gateway.identify(request)
            return _from_head(
                *error_response(error.status, error.reason, request, True).split(b"\r\n\r\n", 1)
            )
        head = response_head(exchange.response, request, True, exchange.cookie)
        return _from_head(head, RelayedBody(exchange))

    def _request(self, environ: WSGIEnvironment) -> Request:
        limits = self.gateway.snapshot.config.limits
        head = _head_bytes(environ)
        request = parse_request(head, limits.head_bytes, limits.target_bytes, limits.headers)
        if request is None:
            raise WireError(400, "bad_request")
        return request

    def _open(self, environ: WSGIEnvironment, request: Request) -> Exchange:
        address, scheme = environ.get("REMOTE_ADDR") or "unknown", environ["wsgi.url_scheme"]
        client = Client(address.encode(), scheme == "https", provenance(address, scheme), _no_interim)
        limit = self.gateway.snapshot.config.limits.body_bytes
        body = InputBody(environ["wsgi.input"], request.framing, limit) if request.framing else None
        if body is not None and 0 < request.framing <= SMALL_BODY:
            return self.gateway.open(request, b"".join(iter(body.read, b"")), None, client)
        return self.gateway.open(request, b"", body, client)


class InputBody:
    """A BodySource over `wsgi.input`, which the WSGI server has taken out of its framing."""

    def __init__(self, stream: IO[bytes], framing: int, limit: int | None) -> None:
        self._stream = stream
        self._left = None if framing == CHUNKED else framing
        self._size = 0
        self._limit = limit
        self._check_size(framing)

    def read(self) -> bytes:
        """See BodySource. Raises WireError: 400 cut short or malformed, 413 too large."""
        want = READ_SIZE if self._left is None else min(READ_SIZE, self._left)
        try:
            data = self._stream.read(want) if want else b""
        except Exception as error:  # a broken framing: each WSGI server has its own errors for it
            raise WireError(400, "body_cut") from error
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

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Exchange | None = exchange

    def __iter__(self) -> Iterator[bytes]:
        """Give the payload as it comes. A body cut short ends the client's connection, as a reset would."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.payload:
            yield exchange.payload
        try:
            while not exchange.complete:
                if payload := exchange.read():
                    yield payload
        except SerinError as error:
            self._exchange = None
            exchange.break_off(error)
            raise ConnectionResetError(errno.ECONNRESET, error.reason) from error

    def close(self) -> None:
        """Called by the WSGI server at the end, whatever the end was (PEP 3333)."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if exchange.complete:
            exchange.finish()
        else:
            exchange.abort()


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


def _head_bytes(environ: WSGIEnvironment) -> bytes:
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or _rebuilt_target(environ)
    line = f"{environ['REQUEST_METHOD']} {target} {environ.get('SERVER_PROTOCOL', 'HTTP/1.1')}\r\n"
    fields = {key: environ[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)}
    for key, value in environ.items():
        # The WSGI server has answered an Expect itself.
        if key.startswith("HTTP_") and key != "HTTP_EXPECT":
            fields[key[5:]] = value
    lines = [f"{key.replace('_', '-').title()}: {value}\r\n" for key, value in fields.items()]
    return (line + "".join(lines) + "\r\n").encode("latin-1")


def _rebuilt_target(environ: WSGIEnvironment) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    quoted = quote(path, safe="/:@!$&'()*+,;=~", encoding="latin-1") or "/"
    return f"{quoted}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else quoted


def _no_interim(_response: Response) -> None:
    """WSGI has no way to pass a 1xx response on."""
