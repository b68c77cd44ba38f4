from __future__ import annotations

import pytest

from app.admin.observer import Observer
from app.rollout.buckets import BUCKETS
from app.rollout.observed import FAILURES, Observed, Recent
from tests.admin.instance import Instance


@pytest.fixture
def observer(instance: Instance) -> Observer:
    return Observer(instance.stats.books, lambda: instance.now)


def counts(observed: Observed) -> dict[float, tuple[int, int]]:
    return {each.ratio: (each.stable.requests, each.canary.requests) for each in observed.strata}


def test_what_comes_counts_for_the_ratio_that_sent_it(instance: Instance, observer: Observer) -> None:
    instance.apply({"ratio": 0.1}).serve("stable", 200, 200)
    under_way = instance.figures("stable")
    instance.apply({"ratio": 0.5}).serve("canary", 200, 503)
    under_way.answer(200, 0.01)
    observed = observer.observed()
    assert counts(observed) == {0.1: (3, 0), 0.5: (0, 2)}
    assert observed.strata[1].canary.failures == {"5xx": 1}
    assert counts(observer.observed()) == counts(observed)


def test_nothing_counts_where_the_ratio_does_not_decide(instance: Instance, observer: Observer) -> None:
    instance.apply({"style": "round_robin"}).serve("canary", 200)
    assert counts(observer.observed()) == {}


def test_bars_are_fixed_before_what_they_judge(instance: Instance, observer: Observer) -> None:
    instance.apply().serve("stable", *[200] * 100, seconds=0.01)
    instance.serve("canary", 200, seconds=1.0)
    assert observer.observed().strata[0].canary.slow == (0, 0, 0, 0)
    instance.serve("canary", 200, seconds=1.0)
    instance.serve("canary", 200, seconds=0.001)
    assert observer.observed().strata[0].canary.slow == (1, 1, 1, 0)


def test_visitors_that_stick_are_told_apart(instance: Instance, observer: Observer) -> None:
    instance.apply({"sticky_sessions": True, "ratio": 0.25})
    for bucket in (0, 1, 0):
        instance.figures("canary").answer(503 if bucket == 0 else 200, 0.01, bucket)
    instance.figures("stable").answer(200, 0.01, BUCKETS - 1)
    visitors = observer.observed().visitors
    assert visitors is not None
    assert visitors.canary == 2
    assert visitors.recent[FAILURES] == (Recent(0.25, (0,)),)


def test_without_stickiness_there_are_no_visitors(instance: Instance, observer: Observer) -> None:
    assert observer.observed().visitors is None
