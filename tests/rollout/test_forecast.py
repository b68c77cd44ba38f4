from __future__ import annotations

import random
import statistics

import pytest

from app.rollout.comparison import Comparison, Rule
from app.rollout.evidence import FAILURE_FACTORS, MARGIN_FACTORS, Bad, accuse, acquit
from app.rollout.forecast import Pace, last, soonest

W = 0.1


def comparison(margin: float = 2.0) -> Comparison:
    return Comparison.new(Rule(accuse(1.0, FAILURE_FACTORS), acquit(margin, MARGIN_FACTORS), 0.01, 0.05))


def pace(seconds: float, events: float) -> Pace:
    found = Pace()
    found.seconds = seconds
    found.take("failures", [Bad(W, W * events, (1 - W) * events)])
    return found


def test_it_is_about_right() -> None:
    """One bad event a second, of a canary that is as good as stable: how long it takes from the beginning."""
    expected = pace(60, 60).until_proven("failures", comparison())
    assert expected
    taken = []
    for seed in range(60):
        rng, case, seconds = random.Random(seed), comparison(), 0
        while not case.passes:
            canary = rng.random() < W
            case = case.after([Bad(W, float(canary), float(not canary))])
            seconds += 1
        taken.append(seconds)
    assert 0.5 < expected / statistics.median(taken) < 2


def test_it_shrinks_as_evidence_comes() -> None:
    waits, case = [], comparison()
    for _ in range(10):
        waits.append(pace(60, 60).until_proven("failures", case))
        case = case.after([Bad(W, 1, 9)])
    assert waits == sorted(waits, reverse=True)


@pytest.mark.parametrize(
    ("seconds", "events", "margin"), [(60, 0, 2.0), (9, 60, 2.0), (60, 60, 1.02), (10**9, 1, 2.0)]
)
def test_it_may_not_be_to_be_expected(seconds: float, events: float, margin: float) -> None:
    assert pace(seconds, events).until_proven("failures", comparison(margin)) is None


def test_it_is_over_when_nothing_need_be_proven() -> None:
    proven = comparison().after([Bad(W, 0, 500)])
    assert pace(60, 60).until_proven("failures", proven) == 0.0


@pytest.mark.parametrize(("waits", "first", "final"), [([], None, 0.0), ([3, 1], 1, 3), ([3, None], 3, None)])
def test_of_several(waits: list[float | None], first: float | None, final: float | None) -> None:
    assert (soonest(waits), last(waits)) == (first, final)
