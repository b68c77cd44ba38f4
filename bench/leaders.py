"""Pilots that die, freeze and come back in the middle of a rollout, and a config server that does.

Half of the moments at which it happens are by chance; the others are those at which the pilot has just written
something, and may be about to write more.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import gevent

from bench.course import ROLLOUT, Course, interleaved
from bench.pace import Pace
from tests.support.pilot import Pilot, piloted
from tests.support.processes import fetch, wait_until
from tests.support.stack import Stack

# Seconds within which another pilot has to lead, and until it is not waited for any longer.
TAKEOVER, PATIENCE = 10.0, 30.0
# Requests a second: enough for a verdict at each look.
RATE = 100.0
# At most so many seconds after its beginning a pilot is struck.
LONGEST = 2.5


def plan(steps: int, hold: str) -> dict[str, Any]:
    """With so many steps, up to everybody."""
    return {
        "ramp": {"kind": "linear", "from": 1 / steps, "to": 1, "steps": steps},
        "hold": hold,
        "warmup": 0,
        "min_requests": 1,
        "gates": {"failures": {"acceptable": 0.5}},
    }


def moment(stack: Stack, chance: random.Random) -> None:
    """Waits for one."""
    if chance.random() < 0.5:
        gevent.sleep(chance.random() * LONGEST)
        return
    url = f"{stack.kv_url}/v1/kv/{ROLLOUT}"
    etag = fetch("HEAD", url).headers["ETag"]
    fetch("GET", url, params={"wait": LONGEST}, headers={"If-None-Match": etag})
    gevent.sleep(chance.random() / 100)


def killed(folder: Path, kills: int, seed: int) -> list[str]:
    """The faults of a rollout, in a new folder, whose pilot was killed. Raises AssertionError when it does not end."""
    folder.mkdir()
    chance = random.Random(seed)
    with piloted(folder) as (stack, pilot), Pace(stack.address, RATE):
        pilot.begin(plan(2 * kills, "0s"))
        for _ in range(kills):
            moment(stack, chance)
            assert pilot.rollout()["state"] == "running", "it has ended before"
            pilot.kill9()
            pilot.start()
            wait_until(lambda: pilot.state()["pilot"]["leads"], PATIENCE, what="the lead", pause=0.05)
        wait_until(lambda: pilot.rollout()["state"] == "done", 120, what="its end", pause=0.2)
        return Course.of(stack).faults()


def kill(leader: Pilot) -> Callable[[], object]:
    """End it at once; what brings it back."""
    leader.kill9()
    return leader.start


def freeze(leader: Pilot) -> Callable[[], object]:
    """Let it do nothing, with all its connections open; what brings it back."""
    leader.send(signal.SIGSTOP)
    return lambda: leader.send(signal.SIGCONT)


def takeovers(folder: Path, repeats: int, seed: int) -> tuple[list[float], list[str]]:
    """Seconds in which the other pilot led, and the faults of the rollout. Raises AssertionError when none does."""
    chance = random.Random(seed)
    ways = [kill, freeze] * repeats
    with piloted(folder) as (stack, first), Pilot(stack, "second") as second, Pace(stack.address, RATE):
        first.begin(plan(4 * len(ways), "1s"))
        seconds = []
        for way, (leader, other) in zip(ways, cycle([(first, second), (second, first)]), strict=False):
            moment(stack, chance)
            seconds.append(_taken_over(leader, other, way))
        wait_until(lambda: first.rollout()["state"] == "done", 120, what="its end", pause=0.2)
        faults = Course.of(stack).faults()
        return seconds, faults + interleaved([first.output(), second.output()], len(ways))


def _taken_over(leader: Pilot, other: Pilot, way: Callable[[Pilot], Callable[[], object]]) -> float:
    """Seconds until the other one leads; then the former one is back, and stands by."""
    began = time.monotonic()
    bring_back = way(leader)
    wait_until(lambda: other.state()["pilot"]["leads"], PATIENCE, what="another leader", pause=0.05)
    seconds = time.monotonic() - began
    _wait_step(other)
    bring_back()
    wait_until(lambda: not leader.state()["pilot"]["leads"], what="a pilot that stands by", pause=0.05)
    return seconds


def _wait_step(pilot: Pilot) -> None:
    """Until it has begun another step."""
    step = pilot.rollout()["step"]
    wait_until(lambda: pilot.rollout()["step"] > step, PATIENCE, what="the next step", pause=0.1)


@dataclass(frozen=True, slots=True)
class Absence:
    """`lost`: of the visitors' requests. `state`: the rollout's, as shown meanwhile. `until`: seconds from the return
    of the config server to the next step."""

    requests: int
    lost: int
    state: str
    until: float


def away(folder: Path, seconds: float) -> Absence:
    """While the config server is gone for so long. Raises AssertionError when the rollout does not go on."""
    with piloted(folder) as (stack, pilot), Pace(stack.address, RATE) as pace:
        pilot.begin(plan(2, "3s"))
        wait_until(lambda: stack.document()["ratio"] == 0.5, what="the first step")
        stack.kv.kill9()
        gevent.sleep(seconds)
        state = pilot.rollout()["state"]
        stack.kv.start()
        back = time.monotonic()
        wait_until(lambda: stack.document()["ratio"] == 1, PATIENCE, what="the next step", pause=0.05)
        until = time.monotonic() - back
    return Absence(pace.last["requests"], pace.last["failures"], state, until)
