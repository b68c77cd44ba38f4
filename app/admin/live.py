"""The figures of this process, read where they are counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from app.admin.report import Counters, Gauges, Observation, Report, ServerGauges, VersionCounters, Worker
from app.balance.server import Load
from app.balance.standing import WHOLE
from app.config.model import Config
from app.config.refresh import RefreshState
from app.proxy.gateway import Gateway
from app.proxy.stats import VersionStats


class Live:
    """`loads` is by URL, `state` what is known of the config, `observe` gives the observations by this process's id;
    all are asked anew each time."""

    def __init__(
        self,
        gateway: Gateway,
        loads: Mapping[str, Load],
        state: Callable[[], RefreshState],
        observe: Callable[[], dict[str, Observation]] = dict,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._gateway = gateway
        self._loads = loads
        self.state = state
        self._observe = observe
        self.now = wall_clock
        self._since = wall_clock()

    @property
    def config(self) -> Config:
        """The config in force; before the first, one that has no servers."""
        return self._gateway.snapshot.config

    def report(self) -> Report:
        """The figures as they are now. All copies: what is made of them may wait, and the counting goes on."""
        state = self.state()
        return {
            "since": self._since,
            "observations": self._observe(),
            "counters": self._counters(state),
            "gauges": self._gauges(),
            "workers": [self._worker(state)],
        }

    def _counters(self, state: RefreshState) -> Counters:
        stats = self._gateway.stats
        return {
            "versions": {name: _version(figures) for name, figures in stats.versions.items()},
            "servers": {
                url: {"requests": load.requests, "failures": load.failures, "ejections": load.ejections}
                for url, load in self._loads.items()
            },
            "choices": dict(stats.choices),
            "tries": dict(stats.tries),
            "refused": dict(stats.refused),
            "config_changes": state.changes,
        }

    def _gauges(self) -> Gauges:
        return {
            "connections": len(self._gateway.lanes),
            "waiting": self._gateway.admission.waiting,
            "out": {name: int(name in self._gateway.snapshot.balancer.out) for name in ("stable", "canary")},
            "servers": {url: _server(load) for url, load in self._loads.items()},
        }

    def _worker(self, state: RefreshState) -> Worker:
        return {
            "pid": os.getpid(),
            "since": self._since,
            "etag": state.etag,
            "revision": state.revision,
            "source": state.source,
            "answered_at": None if state.age is None else self.now() - state.age,
            "rejected": state.rejected is not None,
            "trouble": _trouble(state),
            "draining": self._gateway.draining,
        }


class View(NamedTuple):
    """What the endpoints show: the service's figures, and the config as this process has it. `now`: epoch."""

    report: Report
    config: Config
    state: RefreshState
    now: float


def _version(stats: VersionStats) -> VersionCounters:
    return {
        "answered": list(stats.answered),
        "failures": dict(stats.failures),
        "aborts": stats.aborts,
        "buckets": stats.histogram,
        "nanoseconds": stats.nanoseconds,
        "spared": dict(stats.spared),
    }


def _server(load: Load) -> ServerGauges:
    return {
        "in_flight": load.in_flight,
        "down": int(load.down),
        "ejected": int(load.ejected),
        "starting": int(load.tenths != WHOLE),
    }


def _trouble(state: RefreshState) -> str | None:
    if state.error:
        return f"the config server does not answer: {state.error}"
    if state.rejected:
        faults = state.rejected.faults.items()
        return "document rejected: " + "; ".join(f"{field or 'document'}: {why}" for field, why in faults)
    return "the config server has no document under the key" if state.missing else None
