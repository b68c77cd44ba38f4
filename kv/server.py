"""gevent's WSGIServer, made fit to be left alone with strangers.

Adds what it lacks: one send a response and no Nagle; limits in time for head, body, idle and reading clients; a
strict head; a lingering close when a request is refused before its body was read; an end that waits for no idle
client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from gevent import Timeout
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from gevent.socket import socket
from gevent.ssl import SSLContext, SSLSocket

from kv.connection import Connection
from kv.incoming import Bounds

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)


class Server(WSGIServer):
    """Serves `application` at `address` (host, port; port 0 takes a free one).

    `tls` gives what a new connection is secured with; None: connections are plain.
    """

    handler_class = Connection  # type: ignore[assignment]  # need not be a WSGIHandler

    def __init__(
        self,
        address: tuple[str, int],
        application: WSGIApplication,
        bounds: Bounds | None = None,
        tls: Callable[[], SSLContext] | None = None,
    ) -> None:
        self._tls = tls
        self.bounds = bounds or Bounds()
        self.serving: set[Connection] = set()
        self.draining = False
        super().__init__(
            address,
            application,
            spawn=Pool(self.bounds.connections),
            log=None,
            error_log=log,
            environ={"SERVER_NAME": address[0], "wsgi.url_scheme": "https" if tls else "http"},
        )

    def handle(self, sock: socket, address: Any) -> None:
        """One client, from the handshake on if there is one."""
        if self._tls is None:
            super().handle(sock, address)
        else:
            with closing(
                self._tls().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            ) as secured:
                if self._is_through(secured):
                    super().handle(secured, address)

    def _is_through(self, secured: SSLSocket) -> bool:
        """Whether the handshake succeeds in time. One that fails is not worth a line: half the internet tries."""
        try:
            with Timeout(self.bounds.head):
                secured.do_handshake()
        except (OSError, Timeout):
            return False
        return True

    def stop(self, timeout: float | None = None) -> None:
        """Take no more connections, answer what was asked within `timeout` (default Bounds.drain), end."""
        self.draining = True
        for connection in list(self.serving):
            connection.hang_up()
        super().stop(self.bounds.drain if timeout is None else timeout)
