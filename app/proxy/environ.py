"""A request head put together again from a WSGI environ (PEP 3333), for our own parser to judge.

What the WSGI server has folded stays folded: names lose their case, fields of one name stand in one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from app.errors import WireError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# The WSGI server has answered an Expect itself. HTTP_VERSION is what gunicorn adds to a request of HTTP/2.
_NOT_FIELDS = {False: ("HTTP_EXPECT",), True: ("HTTP_EXPECT", "HTTP_VERSION")}


def head_bytes(environ: WSGIEnvironment, length: int | None = None) -> bytes:
    """The head as HTTP/1. `length`: the body's, where HTTP/2 left it unsaid; below 0: chunked.

    Raises WireError 400 for what would not stand in one head.
    """
    fields = {key: environ[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)}
    not_fields = _NOT_FIELDS[is_http_2(environ)]
    for key, value in environ.items():
        if key.startswith("HTTP_") and key not in not_fields:
            fields[key[5:]] = value
    if length is not None:
        fields |= {"CONTENT_LENGTH": str(length)} if length >= 0 else {"TRANSFER_ENCODING": "chunked"}
    lines = [f"{key.replace('_', '-').title()}: {value}\r\n" for key, value in fields.items()]
    text = "".join((_request_line(environ), *lines, "\r\n"))
    if text.count("\n") != len(lines) + 2:
        raise WireError(400, "bad_value", "a line must not hold the end of a line")
    return text.encode("utf-8" if is_http_2(environ) else "latin-1")


def is_http_2(environ: WSGIEnvironment) -> bool:
    """Only gunicorn says so. It takes the bytes of HTTP/2's fields for UTF-8, where PEP 3333 wants latin-1."""
    return environ.get("SERVER_PROTOCOL") == "HTTP/2.0"


def _request_line(environ: WSGIEnvironment) -> str:
    method, version = environ["REQUEST_METHOD"], environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or _rebuilt_target(environ)
    if is_http_2(environ):
        version = "HTTP/1.1"
        if target[0] not in "/*":  # RFC 9113, 8.3.1: the authority has a field of its own
            raise WireError(400, "bad_target", "a target must be a path")
    return f"{method} {target} {version}\r\n"


def _rebuilt_target(environ: WSGIEnvironment) -> str:
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    quoted = quote(path, safe="/:@!$&'()*+,;=~", encoding="latin-1") or "/"
    return f"{quoted}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else quoted
