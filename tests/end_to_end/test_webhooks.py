"""What becomes of webhooks in a rollout: one receiver that fails at first, one that never answers, one that is away."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from gevent import socket, subprocess
from werkzeug.wrappers import Request

from app.pilot.webhooks import SIGNATURE
from tests.pilot.test_webhooks import hook
from tests.support.load import Load
from tests.support.pilot import Pilot
from tests.support.processes import ROOT, free_port, wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

SECRET, TOKEN = "signed-by-this", "part-of-the-address"
PLAN = {
    "steps": [{"ratio": 0.5, "approve": True}, {"ratio": 1}],
    "hold": 0,
    "warmup": 0,
    "min_requests": 1,
    "gates": {"failures": None, "slow": None},
}


def test_each_transition_is_told_and_nobody_waits_for_a_receiver(tmp_path):
    stack = Stack(tmp_path, config={"ratio": 0})
    with (
        stack,
        Pilot(stack, env={"WEBHOOK_SECRET": SECRET}) as pilot,
        hook(500, 204) as (url, got),
        mute() as silent,
        Load(stack.address, clients=2, pause=0.01),
    ):
        address = f"{url}?token={TOKEN}"
        plan = PLAN | {"webhooks": [silent, f"http://127.0.0.1:{free_port()}/", address]}
        pilot.begin(plan)
        wait_until(
            lambda: (pilot.rollout().get("waits_for") or {}).get("what") == "approval", what="a person"
        )
        for command in ("pause", "resume"):
            pilot.steer(command)
        wait_until(lambda: pilot.rollout()["state"] == "running", what="running")
        pilot.steer("approve")
        wait_until(lambda: pilot.rollout()["state"] == "done", what="done")
        assert_told(pilot, got)
        assert got[0].get_json()["event"] in {each.get_json()["event"] for each in got[1:]}, "told once more"

        got.clear()
        pilot.begin(PLAN | {"steps": [{"ratio": 1}], "hold": "60s", "webhooks": [address]})
        pilot.steer("abort")
        wait_until(lambda: pilot.rollout()["state"] == "rolled_back", what="rolled back")
        assert_told(pilot, got)

        assert pilot.state()["rollout"]["webhooks"] == ["(hidden)"]
        for secret in (SECRET, TOKEN, url.rpartition("/")[0]):
            assert secret not in pilot.output()


def assert_told(pilot: Pilot, got: list[Request]) -> None:
    """Every entry of the log has come, signed as the docs say."""
    log = {(entry["state"], entry["step"], entry["reason"], entry["at"]) for entry in pilot.rollout()["log"]}
    events = wait_until(lambda: all_of(log, got), what=f"all of {log}")
    assert len({event["event"] for event in events}) == len(log)
    genuine = documented_check()
    for request in got:
        body, signature = request.get_data(), request.headers[SIGNATURE]
        assert genuine(body, signature, SECRET)
        assert not genuine(body + b" ", signature, SECRET)
        assert not genuine(body, signature, "another")
    assert documented_command(body) == signature


def all_of(log: set[tuple], got: list[Request]) -> list[dict]:
    """The events, once there is one at least for each entry."""
    events = [request.get_json() for request in got]
    told = {(event["state"], event["step"], event["reason"], event["at"]) for event in events}
    return events if told == log else []


def documented_check() -> Callable[[bytes, str, str], bool]:
    """`genuine` of docs/pilot.md."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/pilot.md").read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names["genuine"]


def documented_command(body: bytes) -> str:
    """What openssl makes of it, as docs/pilot.md has it."""
    (command,) = re.findall(r"^    (openssl .*)$", (ROOT / "docs/pilot.md").read_text(), re.MULTILINE)
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET}
    shell = ["sh", "-c", command.replace("body.json", "-")]
    ran = subprocess.run(shell, input=body, env=environment, stdout=subprocess.PIPE, check=True)
    return f"sha256={ran.stdout.decode().split()[0]}"


@contextmanager
def mute() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
