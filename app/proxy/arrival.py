"""What comes on a client's connection before its first request: a load balancer's word, a TLS handshake.

A client that leaves before it has said anything raises ConnectionAbortedError, which nobody need hear of.
"""

from __future__ import annotations

import ssl

from app.proxy.stats import Stats
from app.secure_stream import SecureStream, accept
from app.stream import Stream
from app.wire.proxy_protocol import Header, parse


def read_proxy_header(stream: Stream) -> tuple[Header, bytes]:
    """The header, and what came after it. Raises WireError when the connection begins with anything else."""
    data = b""
    while (header := parse(data)) is None:
        data += some(stream)
    return header, data[header.size :]


def secure(stream: Stream, context: ssl.SSLContext, hello: bytes, stats: Stats) -> SecureStream:
    """Go over to TLS; `hello` has been read from the stream already.

    Raises WireError for plain HTTP, OSError for any other failure of the handshake.
    """
    try:
        return accept(stream, context, hello)
    except OSError:
        stats.refuse("tls_handshake")
        raise


def some(stream: Stream) -> bytes:
    """What comes next: at least a byte of it."""
    data = stream.read()
    if not data:
        raise ConnectionAbortedError("the client has left")
    return data
