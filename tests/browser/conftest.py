"""One browser for all, and one stage: every process there is, and visitors who keep coming."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.browser import DESKTOP, PHONE, Browser
from tests.support.load import Load
from tests.support.pilot import Pilot
from tests.support.processes import ROOT, wait_until
from tests.support.stack import Stack

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "var" / "screenshots"))


@dataclass(frozen=True, slots=True)
class Stage:
    """What plays, and who watches."""

    stack: Stack
    pilot: Pilot
    browser: Browser

    def home(self) -> None:
        """A live page in a tab that knows nobody, no rollout under way, and nobody on the canary."""
        self.stop_rollout()
        written = self.stack.patch_config({"ratio": 0, "style": "ratio", "sticky_sessions": False})
        wait_until(
            lambda: self.pilot.state()["config"]["etag"] == written["etag"], what="a look at the config"
        )
        self.browser.show(DESKTOP, "light")
        self.browser.open(self.pilot.url)
        if self.browser.run("const known = sessionStorage.length; sessionStorage.clear(); return known"):
            self.browser.open(self.pilot.url)
        self.browser.wait_text("#link", "Live")
        self.browser.complaints()

    def stop_rollout(self) -> None:
        """Where one is under way."""
        wait_until(lambda: self.pilot.state()["pilot"]["leads"], what="the lead")
        if "abort" in (self.pilot.state()["rollout"] or {"commands": []})["commands"]:
            self.pilot.steer("abort")
        self.wait_rollout("none", "done", "rolled_back")

    def wait_rollout(self, *states: str) -> None:
        """Until it is in one of these."""
        wait_until(lambda: self.pilot.rollout()["state"] in states, 15, what=f"one of {states}", pause=0.05)

    def keep(self, name: str) -> None:
        """Screenshots of all there is to see, for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for screen in (DESKTOP, PHONE):
            for scheme in ("light", "dark"):
                self.browser.show(screen, scheme)
                self.browser.screenshot(SCREENSHOTS / f"{name}-{screen.name}-{scheme}.png")
        self.browser.show(DESKTOP, "light")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """With a canary as good as stable."""
    stack = Stack(tmp_path_factory.mktemp("stage"), config={"ratio": 0})
    with stack, Pilot(stack) as pilot, Load(stack.address, clients=8, pause=0.04):
        yield Stage(stack, pilot, browser)
