"""The server of the admin endpoints."""

from __future__ import annotations

import logging
from typing import Any

from gevent import socket
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from app.admin.app import AdminApp
from app.admin.figures import Alone, Figures, Shared
from app.admin.live import Live
from app.admin.report_files import ReportFiles
from app.listener import listen, turn_away

log = logging.getLogger(__name__)

BACKLOG = 128
# Operators and scrapers are few. Who is silent for so many seconds in the middle of a connection is cut off.
CONNECTIONS = 128
SILENCE = 60.0


class Handler(WSGIHandler):
    """gevent's handler without Nagle, which would delay each kept-alive answer by 40 ms, and not patient for ever."""

    def handle(self) -> None:
        """Serve one connection."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(SILENCE)
        super().handle()


class Admin:
    """The admin endpoints at `host` and `port`; port 0 takes a free one.

    `files`: this process is one of several workers. Figures are then the service's, and all workers listen on
    the same port; the kernel gives each connection to one of them. `shared`: another process may listen there.
    """

    def __init__(
        self, host: str, port: int, live: Live, files: ReportFiles | None = None, *, shared: bool = False
    ) -> None:
        self._address = (host, port)
        self._shared = shared or files is not None
        self._figures: Figures = Shared(live.report, files) if files else Alone(live.report)
        self._app = AdminApp(live, self._figures)
        self._server: WSGIServer | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it has started."""
        port = self._server and self._server.server_port
        assert port, "not started"
        return port

    def start(self) -> None:
        """Listen. Raises OSError when the address is not to be had."""
        listener = self._listen()
        self._figures.start()
        self._server = WSGIServer(
            listener, self._app, handler_class=Handler, spawn=Pool(CONNECTIONS), log=None, error_log=log
        )
        self._server.start()

    def stop(self) -> None:
        """Stop listening, give answers under way a second, leave the last figures. Fine to call again."""
        server: Any = self._server
        self._server = None
        if server is not None:
            if self._shared:
                turn_away(server.socket)
            while accepted := server.do_read():
                server.do_handle(*accepted)
            server.stop(timeout=1)
            self._figures.stop()

    def _listen(self) -> socket.socket:
        host, port = self._address
        try:
            return listen(host, port, BACKLOG, shared=self._shared)
        except OSError as fault:
            raise OSError(fault.errno, f"admin endpoints on {host}:{port}: {fault.strerror}") from fault
