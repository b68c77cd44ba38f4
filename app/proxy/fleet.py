"""From a config to something that can serve: servers with their live loads and pools, and the swap.

A server is known by its URL for as long as any config in force names it; its load and its warm connections
survive every change around it. The order is: make the new, swap, let the old run dry.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from app.balance.balancer import Balancer
from app.balance.server import Load
from app.clock import Clock
from app.config.model import Config
from app.errors import UpstreamError
from app.upstream.address import Address
from app.upstream.pool import Pool

log = logging.getLogger(__name__)

# Seconds between two look-ups of the servers' names.
RESOLVE_EVERY = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that one request needs of the config, immutable but for the balancer's rotations."""

    config: Config
    balancer: Balancer


class Fleet:
    """Every server of the config in force. `start` and `stop` rule the greenlet that looks names up again."""

    def __init__(self, clock: Clock, rng: random.Random, make_pool: Callable[..., Pool] = Pool) -> None:
        self._clock = clock
        self._rng = rng
        self._make_pool = make_pool
        self._resolver: gevent.Greenlet[[], None] | None = None
        self.loads: dict[str, Load] = {}

    def start(self) -> None:
        """Begin to look names up again every RESOLVE_EVERY seconds."""
        self._resolver = gevent.spawn(self._resolve_for_ever)

    def stop(self) -> None:
        """Stop looking names up, and close every idle connection."""
        if self._resolver is not None:
            self._resolver.kill()
        for load in self.loads.values():
            load.pool.close()

    def snapshot(self, config: Config, previous: Snapshot | None) -> Snapshot:
        """Make ready to serve `config`: names are looked up here, before any request needs them."""
        return Snapshot(
            config, Balancer(config, self.load, self._rng, previous.balancer if previous else None)
        )

    def retire(self, config: Config) -> None:
        """Let go of the servers that `config`, now in force, does not name. What they have under way goes on."""
        named = {server.url for version in (config.stable, config.canary) for server in version.servers}
        for url in self.loads.keys() - named:
            self.loads.pop(url).pool.close()

    def load(self, url: str) -> Load:
        """The live figures of the server with that URL, made at its first mention."""
        load = self.loads.get(url)
        if load is None:
            load = self.loads[url] = Load(pool=self._make_pool(Address.parse(url), self._clock))
            _resolve(load.pool)
        return load

    def _resolve_for_ever(self) -> None:
        while True:
            gevent.sleep(RESOLVE_EVERY)
            for load in list(self.loads.values()):
                _resolve(load.pool)


def _resolve(pool: Pool) -> None:
    try:
        pool.resolve()
    except UpstreamError as error:
        log.warning("server %s: %s", pool.authority.decode(), error)
