"""Rollouts with every process there is: a healthy canary reaches everybody, a bad one nobody, whatever dies."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from tests.support.load import Load
from tests.support.pilot import Pilot, piloted
from tests.support.processes import fetch, wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

PLAN = {
    "steps": [{"ratio": 0.1}, {"ratio": 0.5}, {"ratio": 1.0}],
    "hold": "2s",
    "warmup": 0,
    "min_requests": 50,
    "gates": {"failures": {"acceptable": 0.05}},
}


def canary_url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.canary_port}"


def stable_url(document: dict) -> str:
    return document["stable"]["servers"][0]["url"]


def test_a_healthy_canary_reaches_everybody_though_its_pilot_is_killed(tmp_path):
    with piloted(tmp_path) as (stack, pilot), Load(stack.address, clients=8, pause=0.01) as load:
        pilot.begin(PLAN)
        for ratio in (0.1, 0.5):
            wait_until(lambda ratio=ratio: stack.document()["ratio"] >= ratio, 30, what=f"{ratio}")
            pilot.kill9()
            before = stack.document()["ratio"]
            pilot.start()
            assert stack.document()["ratio"] == before
        wait_until(lambda: pilot.rollout()["state"] == "done", 60, what="done", pause=0.1)
        assert stable_url(stack.document()) == canary_url(stack)
        steps = [entry["step"] for entry in pilot.rollout()["log"] if "to the canary" in entry["reason"]]
        assert steps == [0, 1, 2]
        load.wait_requests(50)
    assert load.result.lost == 0


def test_a_canary_that_fails_is_rolled_back(tmp_path):
    with piloted(tmp_path, "--fail", "0.2") as (stack, pilot), Load(stack.address, clients=8, pause=0.01):
        pilot.begin(PLAN | {"hold": "60s"})
        wait_until(lambda: stack.document()["ratio"] == 0.1, what="the first step")
        began = time.monotonic()
        wait_until(lambda: pilot.rollout()["state"] == "rolled_back", 30, what="rolled back", pause=0.05)
        print(f"rolled back after {time.monotonic() - began:.1f} s")
        assert stack.document()["ratio"] == 0
        assert "fails more often" in pilot.rollout()["log"][-2]["reason"]


def test_a_plan_says_itself_what_is_slow(tmp_path):
    plan = PLAN | {"hold": "60s", "gates": {"failures": None, "slow": {"over": "150ms"}}}
    with piloted(tmp_path, "--delay", "200ms") as (stack, pilot), Load(stack.address, clients=8, pause=0.01):
        pilot.begin(plan)
        wait_until(lambda: pilot.rollout()["state"] == "rolled_back", 30, what="rolled back", pause=0.05)
        (gate,) = pilot.state()["verdict"]["gates"]
    slow = {bar["name"]: bar["canary"] for bar in gate["comparisons"]}
    assert slow["over"] >= 3


def test_a_canary_that_is_slow_for_visitors_who_stick_is_rolled_back(tmp_path):
    sticky, twice = {"sticky_sessions": True}, ("--slower", "2")
    with (
        piloted(tmp_path, *twice, config=sticky) as (stack, pilot),
        Load(stack.address, path="/?delay=20ms", clients=8, pause=0.01),
    ):
        pilot.begin(PLAN | {"hold": "60s"})
        wait_until(lambda: pilot.rollout()["state"] == "rolled_back", 30, what="rolled back", pause=0.05)
        assert "slow more often" in pilot.rollout()["log"][-2]["reason"]


def test_commands_drive_it(tmp_path):
    with piloted(tmp_path) as (_stack, pilot):
        wait_until(lambda: pilot.state()["pilot"]["leads"], what="the lead")
        environment = {"PILOT_URL": pilot.url}

        def run(*arguments: str) -> Result:
            return CliRunner().invoke(main, ["rollout", *arguments], env=environment)

        assert "there is no rollout" in run("status").output
        assert run("start").exit_code == 0
        assert run("start").exit_code == 1
        assert json.loads(run("pause", "--json").output)["state"] == "paused"
        assert "1 of 4" in run("status").output
        assert run("undo").exit_code == 1
        assert run("abort").exit_code == 0
        assert run("watch").exit_code == 1
        pilot.stop()
        assert run("status").exit_code == 3


def test_whoever_writes_the_document_has_the_wheel(tmp_path):
    with piloted(tmp_path) as (stack, pilot):
        pilot.begin(PLAN | {"hold": "60s"})
        wait_until(lambda: stack.document()["ratio"] == 0.1, what="the first step")
        stack.patch_config({"ratio": 0.3})
        wait_until(lambda: pilot.rollout()["state"] == "paused", what="paused")
        assert "somebody else" in pilot.rollout()["reason"]
        assert stack.document()["ratio"] == 0.3
        assert fetch("POST", f"{pilot.url}/abort").json()["state"] == "aborting"
        wait_until(lambda: pilot.rollout()["state"] == "rolled_back", what="rolled back")
        assert stack.document()["ratio"] == 0


def test_another_pilot_takes_over(tmp_path):
    with piloted(tmp_path) as (stack, pilot), Pilot(stack, "second") as second:
        pilot.begin(PLAN | {"hold": "60s"})
        assert not second.state()["pilot"]["leads"]
        assert fetch("POST", f"{second.url}/abort").status_code == 409
        pilot.kill9()
        wait_until(lambda: second.state()["pilot"]["leads"], 10, what="the lead", pause=0.05)
        wait_until(lambda: second.rollout()["state"] == "running", what="the rollout")


def test_a_config_server_that_is_away_holds_the_rollout_up(tmp_path):
    with piloted(tmp_path) as (stack, pilot), Load(stack.address, clients=4, pause=0.02) as load:
        pilot.begin(PLAN | {"hold": "60s"})
        wait_until(lambda: stack.document()["ratio"] == 0.1, what="the first step")
        stack.kv.kill9()
        wait_until(lambda: pilot.rollout()["state"] == "paused", what="a pause")
        assert pilot.rollout()["reason"].startswith("config server away since ")
        stack.kv.start()
        wait_until(lambda: pilot.rollout()["state"] == "running", 15, what="no pause any more")
        assert [entry["state"] for entry in pilot.rollout()["log"]] == ["running", "paused", "running"]
        assert stack.document()["ratio"] == 0.1
    assert load.result.lost == 0


def test_a_config_is_put_and_its_arrival_awaited(tmp_path):
    with piloted(tmp_path) as (stack, pilot):
        document = stack.document() | {"ratio": 0.2}
        answer = fetch("PUT", f"{pilot.url}/config?wait=5s", data=json.dumps(document))
        assert answer.status_code == 200, answer.text
        assert answer.json()["detail"].startswith("applied by 1 of 1 instance in ")
        refused = fetch("PUT", f"{pilot.url}/config", data=json.dumps(document | {"ratio": 7}))
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/ratio")
        assert fetch("PUT", f"{pilot.url}/config", headers={"Origin": "http://evil"}).status_code == 403
