"""Heads as the wire tests write them, parsed with limits small enough to be reached."""

from __future__ import annotations

from collections.abc import Callable

from app.errors import WireError
from app.wire.head import Request, Response, parse_request, parse_response

HEAD_BYTES, TARGET_BYTES, HEADERS = 4096, 256, 20


def head(*lines: bytes) -> bytes:
    """The lines with their ends, and the empty line."""
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def get(*fields: bytes, target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    """A GET with one Host and these fields."""
    return head(b"GET %b HTTP/%b" % (target, version), b"Host: a", *fields)


def parse(data: bytes) -> Request | None:
    return parse_request(data, HEAD_BYTES, TARGET_BYTES, HEADERS)


def request(data: bytes) -> Request:
    parsed = parse(data)
    assert parsed is not None, "the head is not whole"
    return parsed


def response(*lines: bytes, method: bytes = b"GET") -> Response:
    parsed = parse_response(head(*lines), method, HEAD_BYTES)
    assert parsed is not None, "the head is not whole"
    return parsed


def fate(data: bytes) -> tuple[int, str] | None:
    """How a request head is refused; None: it is not."""
    return refusal(lambda: parse(data))


def response_fate(data: bytes, method: bytes = b"GET") -> tuple[int, str] | None:
    """How a response head is refused; None: it is not."""
    return refusal(lambda: parse_response(data, method, HEAD_BYTES))


def refusal(parse: Callable[[], object]) -> tuple[int, str] | None:
    """Status and reason of the WireError that `parse` raises; None: it does not."""
    try:
        parse()
    except WireError as error:
        return error.status, error.reason
    return None
