"""A rollout that is judged by the figures of a real Prometheus."""

from __future__ import annotations

import pytest

from tests.support.load import Load
from tests.support.pilot import Pilot
from tests.support.processes import wait_until
from tests.support.prometheus import NEEDS_PROMETHEUS, prometheus
from tests.support.stack import Stack

pytestmark = [pytest.mark.end_to_end, NEEDS_PROMETHEUS]

NONE_YET = "Prometheus has no figures of any instance: it must scrape their admin ports"
AWAY = "Prometheus cannot be reached, or broke off"
PLAN = {"steps": [{"ratio": 0.1}, {"ratio": 0.5}], "hold": "60s", "warmup": 0}


def test_a_bad_canary_is_found_by_its_figures_and_without_them_a_step_holds(tmp_path):
    stack = Stack(tmp_path, config={"ratio": 0})
    stack.canary.command += ("--fail", "0.2")
    with prometheus(f"127.0.0.1:{stack.admin_port}") as source, stack:
        by_prometheus = {"PROMETHEUS_URL": source.url, "PROMETHEUS_LABELS": 'job="serin"'}
        with Pilot(stack, env=by_prometheus) as pilot, Load(stack.address, clients=8, pause=0.01):
            pilot.begin(PLAN)
            # A Prometheus that starts scrapes nothing for some seconds.
            wait_until(lambda: why_without(pilot) == NONE_YET, what="held")
            wait_until(lambda: pilot.rollout()["state"] == "rolled_back", 30, what="rolled back", pause=0.05)
            assert "fails more often" in pilot.rollout()["log"][-2]["reason"]
            assert stack.document()["ratio"] == 0

            source.terminate()
            pilot.begin(PLAN)
            wait_until(lambda: why_without(pilot) == AWAY, what="held")
            wait_until(lambda: stack.document()["ratio"] == 0.1, what="the first step")
            verdict = pilot.state()["verdict"]
            assert (verdict["outcome"], verdict["reason"]) == ("inconclusive", AWAY)
            assert pilot.rollout()["held"] == 0


def why_without(pilot: Pilot) -> str | None:
    """Why the step waits for numbers, if it does."""
    waits = pilot.rollout().get("waits_for") or {}
    return waits["why"] if waits.get("what") == "numbers" else None
