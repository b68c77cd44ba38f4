"""gevent's WSGIServer, made fit to be left alone with strangers.

Adds what it lacks: one send a response and no Nagle; limits in time for head, body, idle and reading clients; a
strict head; a lingering close when a request is refused before its body was read; an end that waits for no idle
client.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from kv.connection import Connection
from kv.incoming import Bounds

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)


class Server(WSGIServer):
    """Serves `application` at `address` (host, port; port 0 takes a free one)."""

    handler_class = Connection

    def __init__(
        self, address: tuple[str, int], application: WSGIApplication, bounds: Bounds | None = None
    ) -> None:
        self.bounds = bounds or Bounds()
        self.serving: set[Connection] = set()
        self.draining = False
        super().__init__(
            address,
            application,
            spawn=Pool(self.bounds.connections),
            log=None,
            error_log=log,
            environ={"SERVER_NAME": address[0]},
        )

    def stop(self, timeout: float | None = None) -> None:
        """Take no more connections, answer what was asked within `timeout` (default Bounds.drain), end."""
        self.draining = True
        for connection in list(self.serving):
            connection.hang_up()
        super().stop(self.bounds.drain if timeout is None else timeout)
