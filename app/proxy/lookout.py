"""Has a client that ended its side gone altogether, or does it only say that nothing more comes?

TCP tells the two apart only when something is sent: who has closed answers with a reset, who listens does not.
So a client that ended its side is sent what HTTP lets us say before the answer, or inside of it.
"""

from __future__ import annotations

import gevent

from app.proxy.exchange import Exchange
from app.stream import Stream

# RFC 9110, 15.2: a client of HTTP/1.1 must be able to take a 1xx at any time.
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9112, 7.1: the size of a chunk may begin with zeros; the size of the next chunk follows.
ZERO = b"0"

# Seconds between looks. Most answers are there before the first: no need to ask then.
PAUSES = (0.05, 0.05, 0.2, 0.5, 1.0)


def look_out(stream: Stream, exchange: Exchange) -> None:
    """Free the server as soon as it is clear that nobody waits for its answer."""
    try:
        gevent.sleep(PAUSES[0])
        stream.mention(probe(exchange))
        for pause in PAUSES[1:]:
            gevent.sleep(pause)
            stream.ended()
    except OSError as error:
        exchange.leave(error)


def probe(exchange: Exchange) -> bytes:
    """What may be said to the client just now; b"" for nothing."""
    if exchange.between_chunks:
        return ZERO
    return CONTINUE if exchange.waiting and exchange.request.minor else b""
