"""TLS for gunicorn's own gevent worker: handshakes that fail do so within a time, and without a traceback.

By itself gevent shakes hands before gunicorn knows of the connection, for as long as the client likes.
"""

from __future__ import annotations

import errno
from functools import partial
from ssl import SSLContext, TLSVersion
from typing import Any

import gevent
from gevent.ssl import SSLSocket

# Seconds; the fast lane has the config document's timeouts.client_head.
PATIENCE = 10.0


class PatientSocket(SSLSocket):
    """gunicorn takes a reset for what it is: no news."""

    def do_handshake(self) -> None:  # type: ignore[override]  # gevent's takes no argument
        """Raises ConnectionResetError when the time is up."""
        with gevent.Timeout(PATIENCE, ConnectionResetError(errno.ECONNRESET, "no handshake in time")):
            super().do_handshake()


def prepare(context: SSLContext) -> SSLContext:
    """Have gunicorn shake hands itself, by TLS 1.2 or later (RFC 8996)."""
    context.minimum_version = TLSVersion.TLSv1_2
    context.sslsocket_class = PatientSocket
    wrap: Any = partial(context.wrap_socket, do_handshake_on_connect=False)
    context.wrap_socket = wrap  # type: ignore[method-assign]
    return context
