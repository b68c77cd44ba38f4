"""What a proxy changes in a message on its way through (RFC 9110, 7.6), as bytes."""

from __future__ import annotations

from http import HTTPStatus

from app.wire.body import CHUNKED, UPGRADED
from app.wire.head import Request, Response

_KEEP_1_0 = b"Connection: keep-alive\r\n\r\n"


def provenance(address: str, scheme: str) -> bytes:
    """The field lines that tell a server where a request came from, made once a connection."""
    return f"X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {scheme}\r\nVia: 1.1 serin\r\n".encode()


def request_head(request: Request, provenance: bytes, new_id: bytes, authority: bytes) -> bytes:
    """The head for the server. `new_id`: the request's id, unless it brought its own.

    `provenance` says all of the request's way here if the request said something of it itself.
    `authority` is the server's, for a client of HTTP/1.0 that named none.
    """
    if not request.host:
        added = b"Host: %b\r\n" % authority
    else:
        added = b"" if request.told else b"X-Forwarded-Host: %b\r\n" % request.host
    if new_id:
        added += b"X-Request-ID: %b\r\n" % new_id
    if request.framing == CHUNKED:
        added += b"Transfer-Encoding: chunked\r\n"
    if request.minor != 1:
        provenance = provenance.replace(b"\r\nVia: 1.1 ", b"\r\nVia: 1.%d " % request.minor)
    if request.upgrade:
        added += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (
        request.method,
        request.target,
        request.onward,
        provenance,
        added,
    )


def response_head(response: Response, request: Request, keep_alive: bool, cookie: bytes | None) -> bytes:
    """The head for the client, with how its body is framed and whether the connection stays."""
    head = response.onward
    if cookie is not None:
        head += b"Set-Cookie: %b\r\n" % cookie
    if response.framing == UPGRADED:
        return head + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % response.upgrade
    if response.framing < 0 and request.minor:
        head += b"Transfer-Encoding: chunked\r\n"
    if not keep_alive:
        return head + b"Connection: close\r\n\r\n"
    return head + (b"\r\n" if request.minor else _KEEP_1_0)


def interim_head(response: Response) -> bytes:
    """A 1xx response for the client."""
    return response.onward + b"\r\n"


def error_response(status: int, reason: str, request: Request | None, keep_alive: bool) -> bytes:
    """An answer of our own: short and plain, with the request's id if it has one, and no word of addresses."""
    text = f"{status} {_phrase(status)} ({reason})\n".encode()
    if request is not None and request.request_id:
        text += b"request id: %b\n" % request.request_id
    head = (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Cache-Control: no-store\r\n%bConnection: %b\r\n\r\n"
    ) % (
        status,
        _phrase(status).encode(),
        len(text),
        _EXTRA.get(status, b""),
        b"keep-alive" if keep_alive else b"close",
    )
    return head if request is not None and request.method == b"HEAD" else head + text


# RFC 9110, 15.5.6 (a 405 names what is allowed) and 15.6.4 (when to come back).
_EXTRA = {
    405: b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE\r\n",
    503: b"Retry-After: 1\r\n",
}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
