"""One instance as its admin endpoints see it: real counters, a config of the test's choice, nothing listening."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client, TestResponse

from app.admin.app import AdminApp
from app.admin.figures import Alone, Figures
from app.admin.live import Live
from app.admin.observer import Observer
from app.balance.balancer import Balancer
from app.balance.server import Load
from app.clock import Clock
from app.config.model import Config, VersionConfig
from app.config.refresh import RefreshState
from app.config.schema import load
from app.proxy.fleet import Snapshot
from app.proxy.gateway import Gateway
from app.proxy.stats import Stats, VersionStats

STABLE, CANARY = "http://127.0.0.1:9001", "http://127.0.0.1:9002"
DOCUMENT: dict[str, Any] = {
    "style": "ratio",
    "ratio": 0.25,
    "stable": {"servers": [{"url": STABLE, "weight": 3}]},
    "canary": {"servers": [{"url": CANARY}]},
}
NOTHING = RefreshState(None, None, None, "http://127.0.0.1:7001", None, None, None, False, None, 0, None)
IN_FORCE = replace(NOTHING, etag="3-abc", revision=3, source="config_server", age=0.5, changes=2)
NOW = 1_800_000_000.0
ID = "here-7-0000abcd"


class Instance:
    """`apply` puts a config in force as the refresher would; `state` is what it says of it."""

    def __init__(self, started: float = NOW) -> None:
        self.loads: dict[str, Load] = {}
        self.state = NOTHING
        self.stats = Stats()
        nothing = Config(stable=VersionConfig())
        first = Snapshot(nothing, Balancer(nothing, self._load, random.Random(1)))
        self.gateway = Gateway(Clock(), self.stats, first)
        self.now = started
        self.observer = Observer(self.stats.books, lambda: self.now, lambda: self.now)
        self.live = Live(
            self.gateway,
            self.loads,
            lambda: self.state,
            lambda: {ID: self.observer.observation()},
            wall_clock=lambda: self.now,
        )
        self.client = self.served_with(Alone(self.live.report))

    def served_with(self, figures: Figures) -> Client:
        return Client(AdminApp(self.live, figures))

    def apply(self, changes: Mapping[str, Any] | None = None, state: RefreshState = IN_FORCE) -> Instance:
        self.gateway.snapshot = self._snapshot(load({**DOCUMENT, **(changes or {})}))
        self.state = state
        return self

    def serve(self, version: str, *statuses: int, seconds: float = 0.01) -> None:
        """As if a server of the version had answered so."""
        load = self.loads[STABLE if version == "stable" else CANARY]
        for status in statuses:
            self.stats.choices["style"] += 1
            self.figures(version).answer(status, seconds)
            load.requests += 1

    def figures(self, version: str) -> VersionStats:
        """Where first tries count now."""
        figures: VersionStats = self.gateway.snapshot.balancer.book[version]
        return figures

    def get(self, path: str, **arguments: Any) -> TestResponse:
        return self.client.get(path, **arguments)

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/status").get_json()
        return answer

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Samples by name and label values, the labels in the order of their names."""
        return samples(self.get("/metrics").text)

    def _snapshot(self, config: Config) -> Snapshot:
        return Snapshot(config, Balancer(config, self._load, random.Random(1), books=self.stats.books))

    def _load(self, url: str) -> Load:
        return self.loads.setdefault(url, Load())


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
