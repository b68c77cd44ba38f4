"""A proxy in this process: one server behind it, either front before it, and limits short enough to wait for."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from gevent import socket
from gevent.pywsgi import WSGIServer

from app.access_log import AccessLog
from app.balance.health import Health
from app.certificate import Certificate
from app.clock import Clock
from app.config.model import Config, Limits, ServerConfig, Timeouts, VersionConfig
from app.proxy.fleet import Fleet
from app.proxy.gateway import Gateway
from app.proxy.stats import Stats
from app.proxy.wsgi_app import ProxyApp
from app.server import Front
from tests.proxy.peer import Peer
from tests.support.processes import wait_until
from tests.support.raw import Address

# Seconds between two looks at time limits.
PERIOD = 0.02


class PromptServer(WSGIServer):
    """Sends the parts of an answer at once: the client's kernel would have it wait 40 ms for the second."""

    def handle(self, sock: socket.socket, address: Address) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle(sock, address)


class Rig:
    """`front` is "fast_lane" or "wsgi". `timeouts` and `limits` replace defaults; `config` has further fields.

    `servers` are stable's, `canary` the canary's: URLs or whole ServerConfigs. `tls`, `proxy_protocol` and
    `access_log` are the fast lane's.
    """

    def __init__(
        self,
        front: str,
        *servers: str | ServerConfig,
        canary: Sequence[str | ServerConfig] = (),
        timeouts: Mapping[str, float] | None = None,
        limits: Mapping[str, int] | None = None,
        tls: Certificate | None = None,
        proxy_protocol: bool = False,
        access_log: AccessLog | None = None,
        host: str = "127.0.0.1",
        **config: Any,
    ) -> None:
        stable = VersionConfig(tuple(_server(server) for server in servers))
        self.config = Config(
            stable=stable,
            canary=VersionConfig(tuple(_server(server) for server in canary)),
            timeouts=replace(Timeouts(), **(timeouts or {})),
            limits=replace(Limits(), **(limits or {})),
            **config,
        )
        rng = random.Random(1)
        self.stats, self.clock = Stats(), Clock(PERIOD)
        self.fleet = Fleet(self.clock, rng, self.stats.books)
        self.gateway = Gateway(self.clock, self.stats, self.fleet.snapshot(self.config, None), rng)
        self.health = Health(self.gateway.refresh, rng, each_second=self.gateway.tries.tick)
        app = ProxyApp(self.gateway)
        listener = (host, 0)
        # Without error_log pywsgi is silent about clients; what our app raises it prints all the same.
        self._server: WSGIServer = (
            Front(listener, app, tls=tls, proxy_protocol=proxy_protocol, access_log=access_log)
            if front == "fast_lane"
            else PromptServer(listener, app, log=None, error_log=None)
        )

    def __enter__(self) -> Self:
        self.clock.start()
        self.fleet.start()
        self.health.adopt(self.config, self.fleet.loads)
        self.health.start()
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop(timeout=0.01)
        self.health.stop()
        self.fleet.stop()
        self.clock.stop()

    @property
    def address(self) -> Address:
        return "127.0.0.1", self._server.server_port

    def load(self, url: str) -> Any:
        """The live figures of the server with that URL."""
        return self.fleet.loads[url]

    def comes_to_rest(self, url: str) -> None:
        """Nothing stays under way once the clients have gone."""
        wait_until(lambda: self.load(url).in_flight == 0 and not self.gateway.lanes, what="rest")

    def client(self) -> Peer:
        """A new connection to the proxy."""
        sock = socket.create_connection(self.address, timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Peer(sock)


def _server(given: str | ServerConfig) -> ServerConfig:
    return ServerConfig(given) if isinstance(given, str) else given
