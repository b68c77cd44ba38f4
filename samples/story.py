"""What the demo says: where everything is, what becomes of the rollout, and what to try then."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samples.stage import PORTS, Ports, Stage
from samples.visitors import Visitors

ENDS = ("done", "rolled_back")
# Seconds between two lines while nothing changes.
_PATIENCE = 5.0

GOOD = "A new version goes from a few users to everyone: step by step, judged all the time, by itself."
BAD = "A new version fails {fails:.3g} % of its requests. Nobody says so; Serin is to find out and take it back."


def introduction(stage: Stage) -> str:
    """What is going to happen, and where to look on."""
    ports = stage.ports
    headline = BAD.format(fails=stage.fails * 100) if stage.fails else GOOD
    places = (
        (f"http://localhost:{ports['PORT']}", "the service, behind the proxy"),
        (
            f"http://localhost:{ports['PILOT_PORT']}",
            "the pilot, which drives the rollout: open it in a browser",
        ),
        (f"http://localhost:{ports['KV_PORT']}/v1/kv/canary/config", "the config document"),
        (str(stage.log), "what all processes say"),
    )
    return f"{headline}\nCtrl-C ends it.\n\n{_aligned(places)}\n"


def to_try(stage: Stage, state: str, plan: Path) -> str:
    """What one can do when the rollout has come to this end."""
    ports, serin = stage.ports, f"{_moved(stage.ports)}.venv/bin/python -m app"
    start = (f"{serin} rollout start {shlex.quote(os.path.relpath(plan))}", "once more")
    watch = (f"{serin} rollout watch", "see it go")
    curl = f"curl localhost:{ports['PORT']}"
    hints = {
        "done": (
            (curl, "who answers now"),
            (f"{serin} rollout undo", "bring the former version back"),
            start,
            watch,
        ),
        "rolled_back": (
            (curl, "stable, always"),
            (f"{serin} ratio 50%", "give it to half of all visitors: still no errors"),
            (f"curl localhost:{ports['PILOT_PORT']}/verdict", "the evidence"),
            start,
            watch,
        ),
    }
    return f"\nAll stays up until Ctrl-C. Try, from another terminal:\n\n{_aligned(hints[state])}\n"


class Story:
    """Tells each thing once, with the seconds since the beginning."""

    def __init__(self, visitors: Visitors, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._visitors, self._clock = visitors, clock
        self._began = self._spoke = clock()
        self._told: list[Any] = []

    def say(self, text: str) -> None:
        """A line."""
        self._spoke = self._clock()
        print(f"{self._spoke - self._began:4.0f} s  {text}")

    def go_on(self, state: dict[str, Any] | None) -> str:
        """What is new in the pilot's state, if it answers; the state of the rollout."""
        rollout = state and state["rollout"]
        if state is None or not rollout:
            return ""
        news = [entry for entry in rollout["log"] if entry not in self._told]
        self._told += news
        for entry in news:
            self.say(entry["reason"])
        if rollout["state"] == "running" and self._clock() - self._spoke >= _PATIENCE:
            self.say(_progress(state))
        return str(rollout["state"])

    def summary(self, state: dict[str, Any] | None) -> str:
        """What visitors saw, and what not."""
        tally = self._visitors.tally
        saw = f"Visitors made {tally.requests:,} requests and saw {tally.errors:,} errors."
        canary = state["versions"]["canary"] if state else {"failed": 0, "spared": {}}
        if not canary["failed"]:
            return f"\n{saw}"
        spared = sum(canary["spared"].values())
        failed = f"The canary failed {canary['failed']:,} times. {saw}"
        return f"\n{failed}\nUsers spared: {spared:,}; stable answered in its place."


def _progress(state: dict[str, Any]) -> str:
    verdict, waits = state["verdict"], state["rollout"].get("waits_for")
    heard = verdict and verdict["canary"]["requests"]
    seen = (
        ", ".join(f"{name}: {_figures(verdict[name])}" for name in ("stable", "canary"))
        if heard
        else "nothing counts yet"
    )
    return f"{seen}; {waits['why']}" if waits else seen


def _figures(version: dict[str, Any]) -> str:
    return f"{version['failures']:,} of {version['requests']:,} failed"


def _moved(ports: Ports) -> str:
    """What commands must be told when the ports are not the usual ones."""
    if all(ports[variable] == usual for variable, (_, usual) in PORTS.items()):
        return ""
    return (
        f"CONFIG_SERVER=http://localhost:{ports['KV_PORT']} PILOT_URL=http://localhost:{ports['PILOT_PORT']} "
    )


def _aligned(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(first) for first, _ in rows)
    return "\n".join(f"    {first:{width}}  {second}" for first, second in rows)
