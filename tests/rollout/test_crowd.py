from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.rollout.buckets import SLICES, Buckets, canaries
from app.rollout.crowd import CANARY, HIT, SEEN, Crowd
from app.rollout.intake import Arrivals, Intake
from app.rollout.observed import FAILURES, MOST_RECENT, Observed, Recent, Stratum, Visitors

RATIO = 0.25
FIRST_OF_STABLE = canaries(RATIO)
FAILED = SEEN | HIT[FAILURES]


def seen(crowd: Crowd) -> Buckets:
    found = Buckets()
    for _ in range(SLICES):
        visitors = crowd.report()
        found.join(visitors.part, visitors.seen)
    return found


def failures(visitors: Visitors) -> list[int]:
    return [bucket for recent in visitors.recent[FAILURES] for bucket in recent.buckets]


def test_whoever_sends_a_request_is_seen() -> None:
    crowd = Crowd()
    buckets = (0, 7, 8, 255, 256, 2**20 - 1)
    for bucket in buckets:
        crowd.note(SEEN, bucket, RATIO)
    found = seen(crowd)
    assert all(bucket in found for bucket in buckets)
    assert found.count(2**20, Buckets()) == (len(buckets), 0)


def test_only_the_first_event_of_a_kind_counts() -> None:
    crowd = Crowd()
    crowd.note(FAILED, 5, 0.1)
    crowd.note(FAILED, 5, 0.5)
    crowd.note(SEEN | HIT["p50"], 5, 0.5)
    recent = crowd.report().recent
    assert recent[FAILURES] == (Recent(0.1, (5,)),)
    assert recent["p50"] == (Recent(0.5, (5,)),)


def test_each_canary_visitor_is_counted_once() -> None:
    crowd = Crowd()
    for bucket in (1, 2, 1):
        crowd.note(SEEN | CANARY, bucket, RATIO)
    crowd.note(SEEN, FIRST_OF_STABLE, RATIO)
    assert crowd.report().canary == 2


def test_with_another_canary_nobody_has_met_anything() -> None:
    crowd = Crowd()
    crowd.note(FAILED | CANARY, 5, RATIO)
    crowd.begin()
    assert (crowd.report().canary, failures(crowd.report())) == (0, [])
    assert 5 not in seen(crowd)
    crowd.note(FAILED, 5, RATIO)
    assert failures(crowd.report()) == [5]


def test_what_there_is_no_room_for_is_met_later() -> None:
    crowd = Crowd()
    for bucket in range(MOST_RECENT):
        crowd.note(FAILED, bucket, RATIO)
    last = MOST_RECENT - 1
    assert last not in failures(crowd.report())
    crowd.note(FAILED, last, RATIO)
    assert failures(crowd.report())[-1] == last


def taken(crowds: list[Crowd], events: list[tuple[int, int, int, bool]]) -> list[Arrivals]:
    """What an intake makes of it when each crowd reports after every event."""
    intake, strata = Intake(), (Stratum(RATIO),)

    def reports() -> dict[str, Observed]:
        return {str(number): Observed(strata, crowd.report()) for number, crowd in enumerate(crowds)}

    arrivals = [intake.take(reports())]
    for where, bucket, mark, failed in events:
        marks = SEEN | mark | (HIT[FAILURES] if failed else 0)
        crowds[where % len(crowds)].note(marks, bucket, RATIO)
        arrivals.append(intake.take(reports()))
    return arrivals


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from((1, 2, 3, FIRST_OF_STABLE, FIRST_OF_STABLE + 1)),
        st.just(0),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None)
@given(EVENTS)
def test_three_instances_come_to_the_same_as_one(events: list[tuple[int, int, int, bool]]) -> None:
    def hits(arrivals: list[Arrivals]) -> list[tuple[int, int]]:
        return [
            (
                sum(bad.canary for bad in each.firsts[FAILURES]),
                sum(bad.stable for bad in each.firsts[FAILURES]),
            )
            for each in arrivals
        ]

    apart = taken([Crowd(), Crowd(), Crowd()], events)
    assert hits(apart) == hits(taken([Crowd()], events))
