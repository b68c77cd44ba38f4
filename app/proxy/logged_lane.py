"""The fast lane with an access log: every request it answers, refuses or loses is a line.

A line is in the Common Log Format, and after it what only a proxy knows, as `name=value`; docs/running.md explains
them.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from app.access_log import AccessLog
from app.errors import SerinError
from app.proxy.exchange import Exchange
from app.proxy.fast_lane import FastLane
from app.wire.head import Request

# What nginx logs of a client that left before its answer; nobody is sent it.
CLIENT_LEFT = 499


class LoggedLane(FastLane):
    """`server`, a Front, has the log."""

    __slots__ = ("_log", "_noted")

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        super().__init__(sock, address, server)
        self._log: AccessLog = server.access_log
        self._noted = False

    def _serve(self) -> bool:
        self._noted, self.passed = False, 0
        try:
            return super()._serve()
        except OSError:
            if self._request is not None and not self._noted:
                self._note(CLIENT_LEFT, "client_left")
            raise

    def _answer(self, exchange: Exchange, request: Request, keep: bool) -> bool:
        status, self.passed = exchange.response.status, len(exchange.payload)
        try:
            keep = super()._answer(exchange, request, keep)
        except SerinError as error:
            self._note(status, error.reason, exchange)
            raise
        except OSError:
            self._note(status, "client_left", exchange)
            raise
        self._note(status, "", exchange)
        return keep

    def _refuse(self, error: SerinError, *, keep: bool) -> bool:
        if self._request is not None:
            self.gateway.identify(self._request)
        self._note(error.status, error.reason)
        return super()._refuse(error, keep=keep)

    def _note(self, status: int, why: str, exchange: Exchange | None = None) -> None:
        """`exchange`: the one whose answer was passed on. `why`: the reason of a refusal or of a cut, or ""."""
        self._noted = True
        line = self._beginning(status)
        if exchange is not None:
            version, server = exchange.server.version.encode(), exchange.pool.authority
            seconds = monotonic() - exchange.started
            line += b" version=%b server=%b seconds=%.6f" % (version, server, seconds)
        if self._request is not None and self._request.request_id:
            line += b" id=%b" % self._request.request_id
        self._log.write(line + (b" why=%b\n" % why.encode() if why else b"\n"))

    def _beginning(self, status: int) -> bytes:
        request, stamp, client = self._request, self._log.stamp(), self._client.address
        if request is None:
            return b'%b - - %b "-" %d %d' % (client, stamp, status, self.passed)
        return b'%b - - %b "%b %b HTTP/1.%d" %d %d' % (
            request.client or client,
            stamp,
            request.method,
            request.target.replace(b'"', b"%22"),
            request.minor,
            status,
            self.passed,
        )
