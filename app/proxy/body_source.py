"""Where the rest of a request's body comes from, whichever front has it."""

from __future__ import annotations

from typing import Protocol

from app.pipe import Pipe

# A body of known length up to this many bytes is read whole before a server is bothered with it.
SMALL_BODY = 64 * 1024


class BodySource(Protocol):
    """The part of a request body that is still to come. A source that knows no pipes is a subclass."""

    def read(self) -> bytes:
        """Wait for the next bytes of payload; b"" at the end. Raises SerinError or OSError."""

    @property
    def left(self) -> int:
        """How many bytes may still come by a pipe."""
        return 0

    def read_into(self, pipe: Pipe) -> int:
        """As `read`, into a pipe, while bytes are `left`: how many came."""
        raise TypeError("this source knows no pipes")
