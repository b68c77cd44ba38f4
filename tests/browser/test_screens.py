"""The page while a canary fails, from before its rollout until nobody gets it. The screenshots are for people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Stage
from tests.support.browser import NEEDS_CHROMIUM, Browser
from tests.support.load import Load
from tests.support.pilot import Pilot
from tests.support.processes import wait_until
from tests.support.stack import Stack

pytestmark = [pytest.mark.end_to_end, NEEDS_CHROMIUM]

PLAN = {"steps": [{"ratio": 0.1}, {"ratio": 0.5}, {"ratio": 1}], "hold": "5m", "warmup": 0, "alpha": 0.001}


@pytest.fixture
def failing(browser: Browser, tmp_path) -> Iterator[Stage]:
    stack = Stack(tmp_path, config={"ratio": 0, "shield": "safe"})
    stack.canary.command += ["--fail", "0.1"]
    with stack, Pilot(stack) as pilot:
        yield Stage(stack, pilot, browser)


def test_a_canary_that_fails_is_seen_to_go_home_and_nobody_is_hurt(failing):
    page, pilot = failing.browser, failing.pilot
    with Load(failing.stack.address, clients=8, pause=0.03) as first:
        failing.home()
        page.wait_text('[data-version="stable"] [data-slot="seen"]', "100 %")
        failing.keep("idle")
        pilot.begin(PLAN)
        page.wait_text("#rollout .badge", "Running")
        wait_until(lambda: pilot.state()["verdict"]["canary"]["failures"] >= 2, 20, what="two failures")
    failing.keep("failing")
    with Load(failing.stack.address, clients=8, pause=0.03) as second:
        page.wait_text("#rollout .badge", "Rolled back", 30)
        page.wait_text("#log", "fails more often than it may")
        failing.keep("rolled-back")
    assert int(page.text('[data-version="canary"] [data-slot="spared"]')) >= 3
    assert (first.result.lost, second.result.lost) == (0, 0)
    assert page.complaints() == []
