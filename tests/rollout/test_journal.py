from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.errors import InvalidState
from app.rollout import journal
from app.rollout.document import promotion
from app.rollout.plan import Plan
from app.rollout.state import LONGEST_LOG, Intent, Mark, Rollout, State
from tests.rollout.world import PLAN, config

FRESH = Rollout("2026-11-22-7f3a", Plan())
WORN = replace(
    FRESH,
    plan=PLAN,
    state=State.PAUSED,
    step=2,
    reason="why",
    held=1.5,
    clock=1e9,
    requests=7,
    approved=True,
    hands_off=True,
    trial=3,
    canaries=("http://canary",),
    intent=Intent(Mark("a", "b"), Mark("c", "d")),
    promotion=promotion(config()),
).into(State.PROMOTING, "on", 1e9)


@pytest.mark.parametrize("rollout", [FRESH, WORN])
def test_it_is_flat_json(rollout: Rollout) -> None:
    data = json.loads(json.dumps(journal.dump(rollout)))
    assert data["steps"][0]["ratio"] == 0.01
    assert data["state"] == rollout.state
    assert journal.load(data) == rollout
    assert journal.read(json.dumps(data).encode()) == rollout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "asleep"),
        ("step", 3),
        ("step", -1),
        ("step", None),
        ("held", "long"),
        ("clock", None),
        ("alpha", 7),
        ("canaries", None),
        ("intent", None),
        ("intent", {"before": ["a"], "after": ["b"]}),
        ("promotion", {"old": {}}),
        ("log", None),
        ("log", [{"at": 1}]),
    ],
)
def test_what_is_no_rollout(name: str, value: Any) -> None:
    with pytest.raises(InvalidState, match="not a rollout"):
        journal.load(journal.dump(WORN) | {name: value})


@pytest.mark.parametrize("data", [None, [], {}, {"id": "x"}, journal.dump(WORN) | {"step": 3}])
def test_what_is_not_even_alike(data: Any) -> None:
    with pytest.raises(InvalidState):
        journal.load(data)


def test_time_alone_makes_no_difference() -> None:
    assert not WORN.differs(replace(WORN, held=9, clock=9))
    assert WORN.differs(replace(WORN, approved=False))


def test_only_so_many_transitions_are_remembered() -> None:
    rollout = FRESH
    for number in range(LONGEST_LOG + 5):
        rollout = rollout.into(State.PAUSED, str(number), number)
    assert [entry.reason for entry in rollout.log[:1]] == ["5"]


def test_what_is_no_json() -> None:
    with pytest.raises(InvalidState, match="not JSON"):
        journal.read(b"{")
