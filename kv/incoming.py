"""What a client sends, within bounds: the bytes as they come, and a request's body among them."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import Any

from gevent.pywsgi import Input
from gevent.socket import socket


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may take. Seconds, but `head_bytes`, `body_rate` (bytes a second) and `connections`.

    A body has `head` seconds more than `body_rate` allows it. `linger`: how long the rest of a refused body is
    read and dropped, so that the client sees the answer and not a reset.
    """

    head_bytes: int = 64 * 1024
    head: float = 10.0
    idle: float = 75.0
    body_rate: float = 1024.0
    send: float = 60.0
    linger: float = 5.0
    drain: float = 10.0
    connections: int = 10_000


class Incoming(io.RawIOBase):
    """What a client sends, until a deadline: from then on TimeoutError."""

    def __init__(self, connection: socket) -> None:
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Let everything that is read from now on take `seconds`."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client is too slow")
        self._connection.settimeout(left)
        return int(self._connection.recv_into(buffer))


class Body(Input):
    """A request's body. What the application leaves of it is the connection's affair, see `linger`."""

    __slots__ = ()

    def _discard(self) -> None:
        pass

    @property
    def unread(self) -> bool:
        if self.chunked_input:
            return bool(self.chunk_length != 0)
        return bool(self.position < (self.content_length or 0))
