"""Answers that are more than one write: bodies passed on as they come, and connections that leave HTTP.

A client that takes less than timeouts.body_rate is cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import NEVER
from app.pipe import WORTH_A_PIPE, Pipe, open_pipe
from app.proxy.exchange import Exchange
from app.proxy.tunnel import Tunnel
from app.stream import READ_SIZE
from app.wire.body import LAST_CHUNK, chunk
from app.wire.forward import response_head
from app.wire.head import Request

if TYPE_CHECKING:
    from app.proxy.fast_lane import FastLane


def stream_body(lane: FastLane, exchange: Exchange, out: bytes, chunked: bool) -> None:
    """Send the head `out` and the body. Raises SerinError when the server's side fails, OSError for the client's."""
    payload = exchange.payload
    lane.passed = 0
    while True:
        if payload:
            lane.passed += len(payload)
            out += chunk(payload) if chunked else payload
        if exchange.complete and chunked:
            out += LAST_CHUNK
        limit_taking(lane, len(out))
        lane.stream.write(out)
        lane.deadline = NEVER
        if exchange.complete:
            return
        if lane.stream.plain and exchange.left >= WORTH_A_PIPE and (pipe := open_pipe()):
            _splice(lane, exchange, pipe)
        exchange.between_chunks = chunked
        out, payload = b"", exchange.read()
        exchange.between_chunks = False


def _splice(lane: FastLane, exchange: Exchange, pipe: Pipe) -> None:
    with pipe:
        while exchange.left:
            held = exchange.read_into(pipe)
            while held:
                limit_taking(lane, READ_SIZE)
                poured = pipe.pour(lane.stream, held)
                held -= poured
                lane.passed += poured
            lane.deadline = NEVER


def limit_taking(lane: FastLane, size: int) -> None:
    """Begin the time that the client has to take so many bytes."""
    timeouts = lane.gateway.snapshot.config.timeouts
    if timeouts.body_rate is not None:
        lane.deadline = lane.gateway.clock.now + timeouts.client_head + size / timeouts.body_rate


def switch(lane: FastLane, exchange: Exchange, request: Request) -> None:
    """The server has agreed to another protocol: HTTP ends here."""
    connection, gateway = exchange.connection, lane.gateway
    assert connection is not None
    connection.deadline = NEVER
    head = response_head(exchange.response, request, True, exchange.cookie)
    limit_taking(lane, len(head))
    lane.stream.write(head)
    lane.deadline = NEVER
    lane.stream.on_idle_data = None
    early, lane.buffer = lane.buffer, b""
    lane.tunnel = Tunnel(lane.stream, connection.stream, gateway)
    if not gateway.draining:
        lane.tunnel.run(exchange.payload, early)
    exchange.finish()
