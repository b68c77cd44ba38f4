"""Which switch of protocols is offered, and which answer fits."""

from __future__ import annotations

import pytest

from app.wire.body import UPGRADED
from app.wire.forward import request_head, response_head
from app.wire.head import Request, Response, parse_request, parse_response
from app.wire.upgrade import accepts


def request(*fields: bytes, version: bytes = b"1.1") -> Request:
    lines = b"".join(field + b"\r\n" for field in (b"Host: a", *fields))
    found = parse_request(b"GET / HTTP/%b\r\n%b\r\n" % (version, lines), 10_000, 1000, 50)
    assert found is not None
    return found


def response(*fields: bytes) -> Response:
    lines = b"".join(field + b"\r\n" for field in fields)
    found = parse_response(b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % lines, b"GET", 10_000)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fields", "upgrade"),
    [
        ((b"Connection: Upgrade", b"Upgrade: websocket"), b"websocket"),
        ((b"Connection: keep-alive, uPGRADE", b"Upgrade: WebSocket"), b"WebSocket"),
        ((b"Connection: upgrade", b"Upgrade: IRC/6.9, RTA/x11"), b"IRC/6.9, RTA/x11"),
        ((b"Connection: upgrade", b"Upgrade: a", b"Upgrade: b"), b"a, b"),
        ((b"Upgrade: websocket",), b""),
        ((b"Connection: close", b"Upgrade: websocket"), b""),
        ((b"Connection: upgrade",), b""),
        ((b"Connection: upgrade", b"Upgrade:"), b""),
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1"), b""),
        ((b"Connection: upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked"), b""),
        ((b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"), b""),
        ((b"Connection: Upgrade", b"Upgrade: H2C, websocket"), b"websocket"),
        ((b"Connection: Upgrade", b"Upgrade: HTTP/2.0, TLS/1.0"), b""),
        ((b"Connection: Upgrade", b"Upgrade: h2c-14, H2-16, a-b"), b"a-b"),
        ((b"Connection: Upgrade", b'Upgrade: h2c\x85, a b, "h2c", h2c;q=1, a/, /1, a/1/2, c/1'), b"c/1"),
    ],
)
def test_what_a_request_offers(fields, upgrade):
    assert request(*fields).upgrade == upgrade


def test_an_old_client_offers_nothing():
    assert request(b"Connection: upgrade", b"Upgrade: websocket", version=b"1.0").upgrade == b""


@pytest.mark.parametrize(
    ("offer", "answer", "fits"),
    [
        (b"websocket", b"websocket", True),
        (b"WebSocket", b"websocket", True),
        (b"a, b", b"b", True),
        (b"a, b", b"a, b", True),
        (b"websocket", b"", False),
        (b"websocket", b"h2c", False),
        (b"a", b"a, b", False),
        (b"", b"websocket", False),
    ],
)
def test_which_answer_fits(offer, answer, fits):
    assert accepts(offer, answer) is fits


def test_the_server_is_asked_in_our_name():
    asked = request(b"Connection: keep-alive, Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    head = request_head(asked, b"", b"", b"")
    assert head.count(b"Connection: ") == 1
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    assert b"\r\nSec-WebSocket-Key: x\r\n" in head


def test_the_offer_of_http_2_goes_no_further():
    asked = request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA")
    head = request_head(asked, b"", b"", b"").lower()
    assert b"upgrade" not in head
    assert b"http2-settings" not in head


def test_what_the_server_switches_to_is_told_to_the_client():
    switch = response(b"Upgrade: websocket", b"Connection: Upgrade, X", b"X: y", b"Sec-WebSocket-Accept: z")
    assert (switch.framing, switch.upgrade) == (UPGRADED, b"websocket")
    assert response_head(switch, request(), True, b"id=1") == (
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: z\r\n"
        b"Set-Cookie: id=1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
