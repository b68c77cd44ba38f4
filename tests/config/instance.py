"""One instance's refresher, with what it put in force laid open."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from app.config.client import ConfigClient
from app.config.document import Document
from app.config.last_good import LastGood
from app.config.model import Config
from app.config.refresh import Refresher, RefreshState
from tests.support.config_server import document
from tests.support.processes import wait_until

KEY = "canary/config"
LIMIT = 0.5  # of one call to the config server; no test waits for it in vain but those of a hanging server


def client(urls: str) -> ConfigClient:
    return ConfigClient(urls, KEY, limit=LIMIT)


class Instance:
    """May be started again and again, as a process would be: the state directory stays."""

    def __init__(self, directory: Path) -> None:
        self.configs: list[Config] = []
        self.refuses = False
        self.last_good = LastGood(directory / "state", KEY, delay=(0.05, 0.1))
        self.config_file = directory / "first.json"
        self.config_file.write_bytes(document(ratio=0.01))
        self._refresher: Refresher | None = None

    def start(self, urls: str, **seams: Any) -> Instance:
        seams = {"rng": random.Random(1)} | seams
        self._refresher = Refresher(client, urls, self._apply, self.last_good, self.config_file, **seams)
        self._refresher.start()
        return self

    def stop(self) -> None:
        if self._refresher:
            self._refresher.stop()
            self._refresher = None

    def state(self) -> RefreshState:
        assert self._refresher
        return self._refresher.state()

    @property
    def ratio(self) -> float:
        return self.configs[-1].ratio

    def gets(self, ratio: float, deadline: float = 10) -> None:
        wait_until(lambda: self.ratio == ratio, deadline, what=f"ratio {ratio}")

    def shows(self, **expected: object) -> None:
        wait_until(
            lambda: all(getattr(self.state(), name) == value for name, value in expected.items()),
            what=f"state {expected}",
        )

    def _apply(self, config: Config, document: Document) -> None:
        if self.refuses:
            raise RuntimeError("refused by the test")
        self.configs.append(config)
