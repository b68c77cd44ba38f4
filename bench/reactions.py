"""Rollouts of canaries that fail, are slow, or are as good as stable: how soon they end, and what visitors see of it.

Real processes, and visitors at a constant rate. All repeats of a case have the same service, which begins each with
its first config again.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.findings import Finding
from bench.pace import Pace
from tests.support.pilot import Pilot, piloted
from tests.support.processes import wait_until
from tests.support.stack import Stack

# Requests a second.
RATE = 500.0
# Seconds until a rollout that has not ended is given up.
PATIENCE = 40.0
# Seconds that half of all answers take at most where slowness is looked at, and requests of each visitor who sticks.
DELAY, PAGES = 0.02, 10

ENDS = {"rolled_back": "rolled back", "done": "promoted"}
ONE_STEP = {"steps": [{"ratio": 0.1}, {"ratio": 1.0}], "hold": "5m", "warmup": 0}
WHOLE_WAY = {
    "steps": [{"ratio": 0.1}, {"ratio": 0.5}, {"ratio": 1.0}],
    "hold": "1s",
    "warmup": 0,
    "min_requests": 100,
    "gates": {"failures": {"acceptable": 0.02}, "slow": {}},
}
STICKY = {"sticky_sessions": True, "sticky": {"key": {"header": "X-Visitor"}}}


@dataclass(frozen=True, slots=True)
class Case:
    """A canary, by the flags of its sample, and what is asked of its rollout.

    `end`: a state. `within`: seconds it may take from the canary's first request; `errors`: so many may be seen.
    None: any number. `delay` and `pages`: as for Pace.
    """

    name: str
    title: str
    end: str
    within: float | None = None
    errors: int | None = None
    canary: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=lambda: ONE_STEP)
    delay: float = 0.0
    pages: int = 0


FAILS = ("--fail", "0.2")
SLOW = ("--slower", "2")
STUCK = "canary twice as slow, visitors stick"
WELL = "canary as good as stable, visitors stick"
CASES = (
    Case("failing", "canary fails 20 %", "rolled_back", 5, 0, FAILS),
    Case("unshielded", "canary fails 20 %, shield off", "rolled_back", 5, None, FAILS, {"shield": "off"}),
    Case("slow", "canary twice as slow", "rolled_back", 30, 0, SLOW, delay=DELAY),
    Case("slow-sticky", STUCK, "rolled_back", 30, 0, SLOW, STICKY, delay=DELAY, pages=PAGES),
    Case("healthy", "canary as good as stable", "done", None, 0, plan=WHOLE_WAY, delay=DELAY),
    Case("healthy-sticky", WELL, "done", None, 0, (), STICKY, WHOLE_WAY, delay=DELAY, pages=2),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One rollout: the state it came to, seconds from its canary's first request to its last, what visitors saw."""

    state: str
    seconds: float
    requests: int
    errors: int


def tried(case: Case, repeats: int, folder: Path) -> Finding:
    """All repeats of a case, up to one with another end. Raises AssertionError when its service does not run."""
    with piloted(folder, *case.canary, config=case.config) as (stack, pilot):
        before = stack.document()
        samples = [_sample(case, stack, pilot, before)]
        while len(samples) < repeats and samples[-1].state == case.end:
            samples.append(_sample(case, stack, pilot, before))
        return finding(case, samples)


def _sample(case: Case, stack: Stack, pilot: Pilot, before: Mapping[str, Any]) -> Sample:
    stack.wait_in_force(stack.put_config(before)["etag"])
    with Pace(stack.address, RATE, pages=case.pages, delay=case.delay) as pace:
        wait_until(lambda: pace.ask()["requests"] > RATE, what="visitors", pause=0.05)
        pilot.begin(dict(case.plan))
        state = _end(pilot)
    canary = pace.last["versions"].get("canary", {"first": 0.0, "last": 0.0})
    return Sample(state, canary["last"] - canary["first"], pace.last["requests"], pace.last["failures"])


def _end(pilot: Pilot) -> str:
    """The state that the rollout comes to, or the one it is in when patience ends."""
    try:
        return wait_until(lambda: _ended(pilot.rollout()["state"]), PATIENCE, what="its end", pause=0.1)
    except AssertionError:
        state: str = pilot.rollout()["state"]
        pilot.steer("abort")
        wait_until(lambda: _ended(pilot.rollout()["state"]), what="its end", pause=0.1)
        return state


def _ended(state: str) -> str:
    return state if state in ENDS else ""


def finding(case: Case, samples: Sequence[Sample]) -> Finding:
    """Medians over the repeats, and the worst."""
    ended = sum(sample.state == case.end for sample in samples)
    seconds = [sample.seconds for sample in samples]
    errors = [sample.errors for sample in samples]
    soon = case.within is None or max(seconds) <= case.within
    few = case.errors is None or max(errors) <= case.errors
    return Finding(
        case.title,
        _asked(case),
        f"{ended} of {len(samples)} {ENDS[case.end]} after {statistics.median(seconds):.1f} s "
        f"(worst {max(seconds):.1f} s), {statistics.median(errors):g} errors (worst {max(errors)}) "
        f"in {statistics.median(sample.requests for sample in samples):,.0f} requests",
        ended == len(samples) and soon and few,
    )


def _asked(case: Case) -> str:
    parts = [ENDS[case.end]]
    if case.within is not None:
        parts.append(f"within {case.within:g} s")
    if case.errors is not None:
        parts.append(f"{case.errors or 'no'} errors")
    return ", ".join(parts)
