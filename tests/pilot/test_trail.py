"""The trail of the evidence."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from app.pilot.trail import LONGEST, Trail
from app.rollout.judge import Judge
from app.rollout.plan import Plan
from app.rollout.state import Rollout, State

ROLLOUT = Rollout("one", Plan(), State.RUNNING)
VERDICT = Judge(Plan()).verdict()


def test_a_point_has_the_evidence_of_each_gate():
    trail = Trail()
    trail.take(7.0, ROLLOUT, VERDICT)
    nothing = pytest.approx(0.0)
    assert trail.points == [{"at": 7.0, "ratio": 0.01, "against": {"failures": nothing, "slow": nothing}}]


def test_it_never_grows_too_long_and_keeps_its_beginning():
    trail = Trail()
    for second in range(5 * LONGEST):
        trail.take(float(second), ROLLOUT, VERDICT)
    moments = [point["at"] for point in trail.points]
    assert LONGEST // 2 <= len(moments) <= LONGEST
    assert moments[0] == 0
    assert {round(later - earlier) for earlier, later in pairwise(moments)} == {8}
    assert moments[-1] > 5 * LONGEST - 10


def test_another_rollout_begins_another():
    trail = Trail()
    trail.take(1.0, ROLLOUT, VERDICT)
    trail.take(2.0, replace(ROLLOUT, id="two"), None)
    assert (trail.rollout, trail.points) == ("two", [])


def test_nothing_is_added_after_the_end():
    trail = Trail()
    trail.take(1.0, ROLLOUT, VERDICT)
    trail.take(2.0, replace(ROLLOUT, state=State.DONE), VERDICT)
    trail.take(3.0, None, None)
    assert len(trail.points) == 1
