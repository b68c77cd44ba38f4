from __future__ import annotations

import pytest

from app.admin.observer import Observer
from app.rollout.observed import FAILURES, Observed
from tests.admin.instance import Instance


@pytest.fixture
def observer(instance: Instance) -> Observer:
    return Observer(
        instance.gateway.stats.versions, lambda: instance.gateway.snapshot.balancer, lambda: instance.now
    )


def counts(observed: Observed) -> dict[float, tuple[int, int]]:
    return {each.ratio: (each.stable.requests, each.canary.requests) for each in observed.strata}


def test_what_comes_belongs_to_the_ratio_in_force(instance: Instance, observer: Observer) -> None:
    instance.apply({"ratio": 0.1}).serve("stable", 200, 200)
    observer.look()
    instance.apply({"ratio": 0.5}).serve("canary", 200, 503)
    observed = observer.observed()
    assert counts(observed) == {0.1: (2, 0), 0.5: (0, 2)}
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
    balancer = instance.gateway.snapshot.balancer
    balancer.seen[0] = 0b11
    balancer.seen[-1] = 0b1
    balancer.hits[0] = 0.25
    visitors = observer.observed().visitors
    assert visitors is not None
    assert visitors.canary == 2
    assert [each.buckets for each in visitors.recent[FAILURES]] == [(0,)]


def test_without_stickiness_there_are_no_visitors(instance: Instance, observer: Observer) -> None:
    assert observer.observed().visitors is None
