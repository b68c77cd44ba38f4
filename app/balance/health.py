"""Keeps what is thought of the servers up to date: probes them, ejects those that fail, lets them back in slowly.

What it knows of a server lives as long as any config in force names the server. The rules are in `outlier`
and `standing`; who is chosen is the balancer's business.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import gevent
from gevent import Greenlet
from gevent.event import Event

from app.balance.failure import expanded
from app.balance.outlier import Record, Tally, ejected, failed, may_eject, too_bad
from app.balance.server import Load
from app.balance.standing import WHOLE, Standing, probed, tenths
from app.config.model import Config, HealthConfig, VersionConfig
from app.errors import UpstreamError
from app.upstream.probe import probe

log = logging.getLogger(__name__)

# Seconds between two looks at who may come back, or have more of its share.
PERIOD = 0.25

# The first probes of many servers are spread over so many seconds.
FIRST_PROBE = 0.2

Probe = Callable[..., int]


class Health:
    """`refresh` is called when other servers may be chosen than before, and names the versions that are out.

    `each_second` is called once a second.
    """

    def __init__(
        self,
        refresh: Callable[[], tuple[str, ...]],
        rng: random.Random,
        *,
        each_second: Callable[[], None] = lambda: None,
        probe: Probe = probe,
        now: Callable[[], float] = time.monotonic,
        period: float = PERIOD,
    ) -> None:
        self._ask_to_refresh = refresh
        self._rng = rng
        self._each_second = each_second
        self._probe = probe
        self._now = now
        self._period = period
        self._second = now()
        self._config: Config | None = None
        self._urls: dict[Load, str] = {}
        self._versions: list[list[Load]] = []
        self._out: tuple[str, ...] = ()
        self._probers: dict[str, Prober] = {}
        self._records: dict[Load, Record] = {}
        self._starting: dict[Load, float] = {}
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to look after those who come back."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop all greenlets. What is thought of the servers stays as it is."""
        for prober in self._probers.values():
            prober.stop()
        if self._greenlet is not None:
            self._greenlet.kill()

    def adopt(self, config: Config, loads: Mapping[str, Load]) -> None:
        """Look after the servers of `config`, now in force; `loads` are theirs, by URL."""
        self._config = config
        for load in loads.values():
            load.on_failure = self.failed
        self._urls = {load: url for url, load in loads.items()}
        self._versions = [_serving(version, loads) for version in (config.stable, config.canary)]
        for forgotten in (self._records.keys() | self._starting.keys()) - self._urls.keys():
            self._records.pop(forgotten, None)
            self._starting.pop(forgotten, None)
        self._adopt_probers(config.health, loads)

    def failed(self, load: Load) -> None:
        """A server has failed a request; `load` counts it already. Does not wait."""
        if load.ejected or load not in self._urls or self._config is None:
            return
        rule, tally, now = self._config.outlier, Tally(load.in_a_row, load.requests), self._now()
        record = failed(self._records.get(load, Record()), tally, now, rule)
        if too_bad(record, tally, rule) and self._may_eject(load):
            record = ejected(record, now, rule)
            self._eject(load, record.until - now)
        self._records[load] = record

    def _refresh(self) -> None:
        before, self._out = self._out, self._ask_to_refresh()
        for version in self._out:
            if version not in before:
                log.warning("no %s server is available", version)

    def _may_eject(self, load: Load) -> bool:
        assert self._config is not None
        rule = self._config.outlier
        versions = [version for version in self._versions if load in version]
        return all(may_eject(sum(each.ejected for each in loads), len(loads), rule) for loads in versions)

    def _eject(self, load: Load, seconds: float) -> None:
        log.warning("server %s is ejected for %g s", self._urls[load], seconds)
        load.ejected = True
        load.ejections += 1
        self._refresh()

    def _run(self) -> None:
        while True:
            gevent.sleep(self._period)
            try:
                self._look()
                self._count_seconds()
            except Exception:
                log.exception("the servers could not be looked after")

    def _count_seconds(self) -> None:
        while self._now() >= self._second + 1.0:
            self._second += 1.0
            self._each_second()

    def _look(self) -> None:
        now = self._now()
        over = [load for load, record in self._records.items() if load.ejected and record.until <= now]
        changed = [self._restore(load) for load in over]
        changed += [self._grow(load, since) for load, since in list(self._starting.items())]
        if any(changed):
            self._refresh()

    def _restore(self, load: Load) -> bool:
        log.info("server %s is no longer ejected", self._urls[load])
        load.ejected, load.in_a_row = False, 0
        self._begin_slowly(load)
        return True

    def _begin_slowly(self, load: Load) -> None:
        self._starting[load] = self._now()
        self._grow(load, self._starting[load])

    def _grow(self, load: Load, since: float) -> bool:
        assert self._config is not None
        before, load.tenths = load.tenths, tenths(self._now() - since, self._config.health.slow_start)
        if load.tenths == WHOLE:
            del self._starting[load]
        return load.tenths != before

    def _adopt_probers(self, config: HealthConfig, loads: Mapping[str, Load]) -> None:
        wanted = loads if config.path is not None else {}
        for url, prober in list(self._probers.items()):
            if wanted.get(url) is not prober.load:
                self._probers.pop(url).stop()
                self._judge(prober.load, False, "it is not probed any more")
        for url, load in wanted.items():
            if url not in self._probers:
                self._probers[url] = Prober(load, self._judge, self._probe, self._rng)
            self._probers[url].follow(config)

    def _judge(self, load: Load, down: bool, why: str) -> None:
        """What probes make of a server."""
        if load.down == down or load not in self._urls:
            return
        log.warning("server %s is %s: %s", self._urls[load], "down" if down else "up", why)
        load.down = down
        if not down:
            self._begin_slowly(load)
        self._refresh()


class Prober:
    """Probes one server for as long as somebody wants it to. `judge` is told, after each probe, what to think."""

    def __init__(
        self, load: Load, judge: Callable[[Load, bool, str], None], probe: Probe, rng: random.Random
    ) -> None:
        self.load = load
        self._judge = judge
        self._probe = probe
        self._rng = rng
        self._config = HealthConfig()
        self._standing: Standing | None = None
        self._hurry = Event()
        self._greenlet: Greenlet[[], None] | None = None

    def follow(self, config: HealthConfig) -> None:
        """Probe as `config` has it from now on. Anything new in it is tried at once; what is known stays known."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        elif replace(config, slow_start=None) != replace(self._config, slow_start=None):
            self._hurry.set()
        self._config = config

    def stop(self) -> None:
        """Stop; a probe under way is given up."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def _run(self) -> None:
        gevent.sleep(self._rng.uniform(0.0, FIRST_PROBE))
        while True:
            self._hurry.clear()
            try:
                self._once(self._config)
            except Exception:
                log.exception("a server could not be probed")
            self._hurry.wait(self._config.interval * self._rng.uniform(0.9, 1.1))

    def _once(self, config: HealthConfig) -> None:
        assert config.path is not None
        try:
            status = self._probe(self.load.pool, config.path, config.host, config.timeout)
            well, why = status in expanded(config.statuses), f"its probe was answered {status}"
        except UpstreamError as error:
            well, why = False, f"its probe failed ({error})"
        self._standing = probed(self._standing, well, config.rise, config.fall)
        self._judge(self.load, self._standing.down, why)


def _serving(version: VersionConfig, loads: Mapping[str, Load]) -> list[Load]:
    return [loads[server.url] for server in version.servers if server.weight and not server.drain]
