"""From a config to something that can serve: servers with their live loads and pools, and the swap.

A server is known by its URL for as long as any config in force names it; its load and its warm connections
survive every change around it (but new TLS settings want new connections). The order is: make the new, swap,
let the old run dry.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

import gevent

from app.balance.balancer import Balancer, Books
from app.balance.rescue import Rescue
from app.balance.retry import RetryRule, ShieldRule
from app.balance.server import Load
from app.clock import Clock
from app.config.model import Config, ServerConfig, Timeouts, TlsConfig
from app.errors import InvalidConfig, UpstreamError
from app.upstream.address import Address
from app.upstream.pool import Pool
from app.upstream.tls import ServerTls
from app.wire.forwarded import Trust, trust

log = logging.getLogger(__name__)

# Seconds between two look-ups of the servers' names.
RESOLVE_EVERY = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that one request needs of the config, immutable but for the balancer's rotations.

    `trusts` says of an address whether it is a trusted proxy's. `hurried`: the time limits of a try that
    another may follow. `careful`: there is more to ask about a choice before it holds.
    """

    config: Config
    balancer: Balancer
    rescue: Rescue | None = None
    trusts: Trust = field(init=False)
    retry: RetryRule = field(init=False)
    shield: ShieldRule = field(init=False)
    hurried: Timeouts | None = field(init=False)
    careful: bool = field(init=False)

    def __post_init__(self) -> None:
        config, limits, seconds = self.config, self.config.limits, self.config.retry.try_timeout
        hurried = None if seconds is None else replace(config.timeouts, head=seconds)
        is_limited = limits.requests is not None or limits.per_server is not None
        for name, value in (
            ("trusts", _trust(config.trusted_proxies)),
            ("retry", _retry_rule(config.retry)),
            ("shield", ShieldRule(config)),
            ("hurried", hurried),
            ("careful", bool(is_limited or hurried or self.rescue)),
        ):
            object.__setattr__(self, name, value)


class Fleet:
    """Every server of the config in force. `start` and `stop` rule the greenlet that looks names up again.

    `books`: where balancers have requests counted.
    """

    def __init__(
        self, clock: Clock, rng: random.Random, books: Books, make_pool: Callable[..., Pool] = Pool
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._books = books
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
        """Make ready to serve `config`: names are looked up here, before any request needs them.

        Raises InvalidConfig, and leaves everything as it is, when a file that it names cannot be used.
        """
        secured = {server.url: _server_tls(server, where) for where, server in _servers(config)}
        for url, tls in secured.items():
            self._renew(url, tls)
        former = previous.balancer if previous else None
        balancer = Balancer(config, self.load, self._rng, former, self._books)
        return Snapshot(config, balancer, _rescue(config, previous))

    def retire(self, config: Config) -> None:
        """Let go of the servers that `config`, now in force, does not name. What they have under way goes on."""
        named = {server.url for _, server in _servers(config)}
        for url in self.loads.keys() - named:
            self.loads.pop(url).pool.close()

    def load(self, url: str) -> Load:
        """The live figures of a server in the last snapshot."""
        return self.loads[url]

    def _renew(self, url: str, tls: ServerTls | None) -> None:
        """Have a pool with these settings: the present one if it has them, else a new one in its place."""
        load = self.loads.get(url)
        former: Pool | None = load.pool if load else None
        if former is not None and (tls.same_as(former.tls) if tls else former.tls is None):
            return
        pool = self._make_pool(Address.parse(url), self._clock, tls=tls)
        _resolve(pool)  # waits: until then requests go on with what there is
        self.loads.setdefault(url, Load()).pool = pool
        if former is not None:
            former.close()

    def _resolve_for_ever(self) -> None:
        while True:
            gevent.sleep(RESOLVE_EVERY)
            for load in list(self.loads.values()):
                _resolve(load.pool)


_retry_rule = lru_cache(4)(RetryRule)  # most changes of the config leave it alone


@lru_cache(4)
def _trust(proxies: tuple[IPv4Network | IPv6Network, ...]) -> Trust:
    """What it has found out of addresses outlives changes of the config that leave the proxies alone."""
    return trust(map(str, proxies))


def _servers(config: Config) -> Iterator[tuple[str, ServerConfig]]:
    """Every server, and where in the document it stands."""
    for version, part in (("stable", config.stable), ("canary", config.canary)):
        for index, server in enumerate(part.servers):
            yield f"{version}.servers[{index}]", server


def _server_tls(server: ServerConfig, where: str) -> ServerTls | None:
    address = Address.parse(server.url)
    if address.scheme != "https":
        return None
    try:
        return ServerTls(server.tls or TlsConfig(), address.host)
    except OSError as error:
        why = (
            "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read: {error.strerror}"
        )
        raise InvalidConfig({f"{where}.tls.ca": why}) from error


def _rescue(config: Config, previous: Snapshot | None) -> Rescue | None:
    """The one that knows the most paths. New servers may have new files."""
    if config.rescue is None or previous is None or previous.rescue is None:
        return Rescue(config.rescue) if config.rescue else None
    former = previous.config
    same = (former.rescue, former.stable, former.canary) == (config.rescue, config.stable, config.canary)
    return previous.rescue if same else Rescue(config.rescue)


def _resolve(pool: Pool) -> None:
    try:
        pool.resolve()
    except UpstreamError as error:
        log.warning("server %s: %s", pool.authority.decode(), error)
