"""The pilot of a stack, as its users run it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import Process, answers, fetch, free_port, python, wait_until
from tests.support.stack import KEY, Stack


class Pilot(Process):
    """`python -m app.pilot` of a stack. `env`: added to its environment."""

    def __init__(self, stack: Stack, name: str = "pilot", env: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"CONFIG_SERVER": stack.kv_url, "CONFIG_KEY": KEY, "PILOT_PORT": str(self.port)}
        log = stack.folder / f"{name}.log"
        ready = answers(f"{self.url}/healthz")
        super().__init__(python("app.pilot"), log, env=environment | dict(env or {}), ready=ready)

    def state(self) -> dict:
        return fetch("GET", f"{self.url}/state").json()

    def rollout(self) -> dict:
        return self.state()["rollout"] or {"state": "none", "log": []}

    def begin(self, plan: dict) -> None:
        wait_until(lambda: self.state()["pilot"]["leads"], what="the lead")
        answer = fetch("POST", f"{self.url}/rollout", data=json.dumps(plan))
        assert answer.status_code == 201, answer.text

    def steer(self, command: str) -> None:
        answer = fetch("POST", f"{self.url}/{command}")
        assert answer.status_code == 200, answer.text


@contextmanager
def piloted(
    folder: Path, *canary: str, config: Mapping[str, Any] | None = None
) -> Iterator[tuple[Stack, Pilot]]:
    """A stack whose canary has no share yet, and its pilot. `canary`: flags of that sample; `config`: as a stack's."""
    stack = Stack(folder, config={"ratio": 0, **(config or {})})
    stack.canary.command += canary
    with stack, Pilot(stack) as pilot:
        yield stack, pilot
