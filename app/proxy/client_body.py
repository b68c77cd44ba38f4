"""A request body as it comes in on a fast lane, held to its framing, its limits and its pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clock import NEVER, Clock
from app.config.model import Limits, Timeouts
from app.errors import WireError
from app.pipe import Pipe
from app.proxy.body_source import BodySource
from app.wire.body import Sized, decoder
from app.wire.head import Request

if TYPE_CHECKING:
    from app.proxy.fast_lane import FastLane


class ClientBody(BodySource):
    """A BodySource. `done`: the connection may carry a next request."""

    __slots__ = (
        "_clock",
        "_deadline",
        "_decoder",
        "_lane",
        "_limit",
        "_patience",
        "_rate",
        "_size",
        "_waits",
    )

    def __init__(
        self, lane: FastLane, request: Request, limits: Limits, timeouts: Timeouts, clock: Clock
    ) -> None:
        self._lane = lane
        self._clock = clock
        self._limit = limits.body_bytes
        self._rate = timeouts.body_rate
        self._patience = timeouts.client_head
        self._decoder = decoder(request.framing)
        self._size = 0
        # RFC 9110, 10.1.1: a client may hold its body back until the server, who has its own time, has asked for it.
        self._waits = request.header(b"expect") is not None
        self._deadline = clock.now + self._patience + (timeouts.head if self._waits else 0)
        self._check_size(request.framing)

    @property
    def done(self) -> bool:
        """See BodySource."""
        return self._decoder.done

    def read_all(self) -> bytes:
        """The whole payload. Raises WireError."""
        pieces = []
        while piece := self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def read(self) -> bytes:
        """See BodySource. Raises WireError: 400 cut or malformed, 408 too slow, 413 too large."""
        body, lane = self._decoder, self._lane
        payload = b""
        while not body.done and not payload:
            data, lane.buffer = lane.buffer or self._receive(), b""
            payload = body.feed(data)
            self._size += len(payload)
            self._check_size(self._size)
        if body.done:
            lane.buffer, body.rest = lane.buffer or body.rest, b""
        return payload

    @property
    def left(self) -> int:
        """See BodySource."""
        lane, body = self._lane, self._decoder
        return body.left if isinstance(body, Sized) and lane.stream.plain and not lane.buffer else 0

    def read_into(self, pipe: Pipe) -> int:
        """See BodySource. Raises WireError as `read` does."""
        assert isinstance(self._decoder, Sized)
        self._begin_wait()
        held = pipe.fill(self._lane.stream, self._decoder.left)
        self._end_wait(held)
        self._decoder.skip(held)
        return held

    def _receive(self) -> bytes:
        self._begin_wait()
        data = self._lane.stream.read()
        self._end_wait(len(data))
        return data

    def _begin_wait(self) -> None:
        self._lane.deadline = self._deadline if self._rate is not None or self._waits else NEVER

    def _end_wait(self, size: int) -> None:
        lane, rate = self._lane, self._rate
        lane.deadline = NEVER
        if not size:
            raise WireError(408, "body_timeout") if lane.expired else WireError(400, "body_cut")
        latest = self._clock.now + self._patience
        if rate is not None:
            self._deadline = latest if self._waits else min(self._deadline + size / rate, latest)
        self._waits = False

    def _check_size(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise WireError(413, "body_too_large")
