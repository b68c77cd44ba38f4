from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.rollout.buckets import BUCKETS, SLICE_BYTES
from app.rollout.evidence import Bad
from app.rollout.intake import Arrivals, Intake
from app.rollout.observed import FAILURES, KINDS, Observed, Outcomes, Recent, Stratum, Visitors
from tests.rollout.reports import observed, outcomes

HALF = BUCKETS // 2


def growing(count: int, ratio: float = 0.1) -> Observed:
    return observed(ratio, outcomes(9 * count, count), outcomes(count, count // 2))


def sticky(*hit: int, canary: int = 0, ratio: float = 0.5) -> Observed:
    recent = dict.fromkeys(KINDS, ()) | {FAILURES: (Recent(ratio, hit),)}
    return Observed((Stratum(ratio),), Visitors(0, bytes(SLICE_BYTES), recent, canary))


def requests(arrivals: Arrivals) -> list[int]:
    return [each.canary.requests for each in (*arrivals.strata, *arrivals.stuck)]


def test_what_was_before_the_first_report_is_not_taken() -> None:
    intake = Intake()
    assert requests(intake.take({"a": growing(100)})) == []
    assert requests(intake.take({"a": growing(130)})) == [30]
    assert requests(intake.take({"a": growing(130), "b": growing(7)})) == []
    assert requests(intake.take({"a": growing(131), "b": growing(9)})) == [1, 2]


def test_a_report_that_is_lost_or_comes_twice_does_no_harm() -> None:
    intake = Intake()
    taken = [
        intake.take(reports) for reports in ({"a": growing(10)}, {}, {"a": growing(40)}, {"a": growing(40)})
    ]
    assert [sum(requests(arrivals)) for arrivals in taken] == [0, 0, 30, 0]


def test_whoever_is_silent_for_long_is_new() -> None:
    intake = Intake()
    intake.take({"a": growing(10)})
    for _ in range(60):
        intake.take({})
    assert requests(intake.take({"a": growing(40)})) == []


def test_a_new_ratio_of_a_known_instance_counts_from_its_first_request() -> None:
    intake = Intake()
    intake.take({"a": growing(10)})
    both = Observed((*growing(12).strata, *growing(5, ratio=0.2).strata))
    assert requests(intake.take({"a": both})) == [2, 5]


def test_a_ratio_that_began_anew_is_skipped_once() -> None:
    intake = Intake()
    intake.take({"a": growing(10)})
    assert requests(intake.take({"a": growing(4)})) == []
    assert requests(intake.take({"a": growing(6)})) == [2]


@pytest.mark.parametrize(
    "canary", [outcomes(50), outcomes(50, 9, slow=(0, 0, 0, 1)), outcomes(50, 9, slow=(1, 1, 1, 0))]
)
def test_also_when_it_has_had_more_requests_already(canary: Outcomes) -> None:
    intake = Intake()
    intake.take({"a": observed(0.1, outcomes(90), outcomes(10, 1, slow=(1, 1, 1, 1)))})
    assert requests(intake.take({"a": observed(0.1, outcomes(99), canary)})) == []


def test_of_a_visitor_at_two_instances_one_event_counts() -> None:
    intake = Intake()
    intake.take({"a": sticky(), "b": sticky()})
    arrivals = intake.take({"a": sticky(1, HALF), "b": sticky(1)})
    assert sum(event.total for event in arrivals.firsts[FAILURES]) == 2
    assert intake.take({"a": sticky(1, HALF), "b": sticky(1)}).firsts[FAILURES] == []


def test_whom_something_befell_before_is_not_at_risk() -> None:
    intake = Intake()
    intake.take({"a": sticky(1, HALF + 1)})
    assert intake.take({"a": sticky(1, 2, HALF, HALF + 1)}).firsts[FAILURES] == [
        Bad(0.5, 1, 0, 0.5),
        Bad(0.5, 0, 1, 0.0),
    ]


def test_visitors_of_the_canary_may_be_the_same_at_all_instances() -> None:
    intake = Intake()
    intake.take({"a": sticky(canary=100), "b": sticky()})
    gained = [
        intake.take({"a": sticky(canary=a), "b": sticky(canary=b)}).visitors
        for a, b in ((110, 8), (112, 12), (112, 30), (0, 31), (20, 31), (35, 31))
    ]
    assert gained == [10, 2, 18, 1, 0, 4]
    assert intake.visitors == 35


def test_it_goes_on_after_a_restart() -> None:
    intake, other = Intake(), Intake()
    for reports in (
        {"a": growing(10), "s": sticky(1, canary=3)},
        {"a": growing(20), "s": sticky(1, 2, canary=9)},
    ):
        intake.take(reports)
    other.restore(json.loads(json.dumps(intake.dump())))
    reports = {"a": growing(50), "s": sticky(1, 2, HALF, canary=12)}
    again = other.take(reports)
    assert again == intake.take(reports)
    assert requests(again) == [30]
    assert again.visitors == 3
    assert again.firsts[FAILURES] == [Bad(0.5, 0, 1, 0.0)]


@pytest.mark.parametrize("sticks", [True, False])
def test_both_kinds_of_service_are_told_apart(sticks: bool) -> None:
    intake = Intake()
    intake.take({"a": growing(1)})
    report = growing(2)
    arrivals = intake.take({"a": replace(report, visitors=sticky().visitors) if sticks else report})
    assert (len(arrivals.stuck), len(arrivals.strata)) == ((1, 0) if sticks else (0, 1))
    assert arrivals.sticky == sticks
