"""Has a client that ended its side gone altogether, or does it only say that nothing more comes?

TCP tells the two apart only when something is sent: who has closed answers with a reset, who listens does not.
So a client that ended its side is sent what HTTP lets us say before the answer, or inside of it.
"""

from __future__ import annotations

from typing import Protocol

import gevent

from app.errors import SerinError
from app.stream import Stream
from app.wire.head import Request

# RFC 9110, 15.2: a client of HTTP/1.1 must be able to take a 1xx at any time.
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9112, 7.1: the size of a chunk may begin with zeros; the size of the next chunk follows.
ZERO = b"0"

# Seconds between looks. Most answers are there before the first: no need to ask then.
PAUSES = (0.05, 0.05, 0.2, 0.5, 1.0)


class Underway(Protocol):
    """What is done for a client just now. `waiting`: nothing of an answer has been said to it."""

    request: Request
    between_chunks: bool

    @property
    def waiting(self) -> bool: ...

    def leave(self, fault: SerinError | OSError) -> None:
        """The client has gone: end it."""


class Asker(Protocol):
    """Who waits for an answer. `exchange`: what is under way for it; it may be one thing after another."""

    @property
    def exchange(self) -> Underway | None: ...


def look_out(stream: Stream, client: Asker) -> None:
    """Free whatever works for the client as soon as it is clear that nobody waits for the answer."""
    try:
        gevent.sleep(PAUSES[0])
        stream.mention(probe(client.exchange))
        for pause in PAUSES[1:]:
            gevent.sleep(pause)
            stream.ended()
    except OSError as error:
        if client.exchange is not None:
            client.exchange.leave(error)


def probe(underway: Underway | None) -> bytes:
    """What may be said to the client just now; b"" for nothing."""
    if underway is None:
        return b""
    if underway.between_chunks:
        return ZERO
    return CONTINUE if underway.waiting and underway.request.minor else b""
