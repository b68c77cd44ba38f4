from __future__ import annotations

from math import exp

import pytest

from app.rollout.buckets import BUCKETS, Buckets
from app.rollout.evidence import FAILURE_FACTORS, Bad, accuse, gains
from app.rollout.first_events import first_events
from app.rollout.observed import Recent
from tests.rollout.test_buckets import of

HALF = BUCKETS // 2


def test_a_bucket_counts_once() -> None:
    seen, hit = of({1, 2, HALF, HALF + 1}), Buckets()
    recent = [Recent(0.5, (1, 1, HALF)), Recent(0.5, (1,))]
    assert first_events(recent, seen, hit) == [Bad(0.5, 1, 0, 0.5), Bad(0.5, 0, 1, 1 / 3)]
    assert first_events(recent, seen, hit) == []


def test_the_version_follows_from_the_ratio_in_force() -> None:
    seen = of({1, BUCKETS // 4})
    assert first_events([Recent(0.5, (BUCKETS // 4,))], seen, Buckets()) == [Bad(0.5, 1, 0, 1.0)]
    assert first_events([Recent(0.1, (BUCKETS // 4,))], seen, Buckets()) == [Bad(0.1, 0, 1, 0.5)]


def test_who_has_had_one_is_at_risk_no_more() -> None:
    seen = of({*range(10), *range(HALF, HALF + 30)})
    hit = of({0, 1, 2, 3, 4})
    (event,) = first_events([Recent(0.5, (HALF,))], seen, hit)
    assert event == Bad(0.5, 0, 1, 5 / 35)


def test_a_bucket_hit_before_its_slice_has_come_was_at_risk() -> None:
    (event,) = first_events([Recent(0.5, (7,))], of({HALF}), Buckets())
    assert event == Bad(0.5, 1, 0, 0.5)


def test_many_at_once_are_taken_in_parts() -> None:
    seen = of({*range(1000), *range(HALF, HALF + 1000)})
    events = first_events([Recent(0.5, tuple(range(500)))], seen, Buckets())
    assert sum(event.canary for event in events) == 500
    assert len(events) < 100
    assert events[0].at_risk == 0.5
    assert events[-1].at_risk == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(("canary", "stable"), [(2, 8), (5, 5)])
def test_under_a_healthy_canary_no_bet_gains_in_the_mean(canary: int, stable: int) -> None:
    """All are hit, one after the other, each who is left as likely as the others: no mean is above 1."""
    hypothesis = accuse(1.0, FAILURE_FACTORS)

    def mean(canary: int, stable: int) -> list[float]:
        if not canary or not stable:
            return [1.0] * len(hypothesis.weights)
        w = canary / (canary + stable)
        outcomes = [(w, gains(hypothesis, [Bad(w, 1, 0)]), mean(canary - 1, stable))]
        outcomes += [(1 - w, gains(hypothesis, [Bad(w, 0, 1)]), mean(canary, stable - 1))]
        return [
            sum(chance * exp(gain[bet]) * later[bet] for chance, gain, later in outcomes)
            for bet in range(len(hypothesis.weights))
        ]

    assert mean(canary, stable) == pytest.approx([1.0] * 8)
