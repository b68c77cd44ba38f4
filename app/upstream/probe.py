"""One question to a server: is it well? On a connection of its own, so that no request pays for the answer."""

from __future__ import annotations

import gevent

from app.errors import UpstreamError
from app.upstream.pool import Pool

_HEAD_BYTES = 64 * 1024


def probe(pool: Pool, path: str, host: str | None, seconds: float) -> int:
    """The status of the answer to a GET for `path`; None for `host` means the server's own authority.

    Raises UpstreamError, at the latest after so many seconds.
    """
    authority = pool.authority if host is None else host.encode()
    request = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: serin-probe\r\nConnection: close\r\n\r\n"
    with gevent.Timeout(seconds, UpstreamError("timeout", 504)):
        connection = pool.connect(seconds)
        try:
            connection.send(request % (path.encode(), authority))
            response, _ = connection.receive_head(b"GET", _HEAD_BYTES, lambda _interim: None)
            return response.status
        finally:
            pool.drop(connection)
