"""The judge of a service whose visitors stick, fed by the recorders of its instances."""

from __future__ import annotations

import random

import pytest

from app.rollout.buckets import BUCKETS, SLICES, canaries
from app.rollout.judge import Judge
from app.rollout.plan import FailureGate, Gates, Plan
from app.rollout.verdict import INCONCLUSIVE, PASS, ROLLBACK
from tests.support.recorder import Recorder

PLAN = Plan(gates=Gates(slow=None))


class Service:
    """So many visitors at two instances, to which they go by chance."""

    def __init__(self, plan: Plan = PLAN, visitors: int = 4000, ratio: float = 0.1) -> None:
        self.rng = random.Random(5)
        self.judge, self.ratio = Judge(plan), ratio
        self.people = self.rng.sample(range(BUCKETS), visitors)
        self.recorders = {"a": Recorder(), "b": Recorder()}
        self.look()

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            reports = {name: recorder.observed(True) for name, recorder in self.recorders.items()}
            self.judge.look(reports, 1.0)

    def request(self, bucket: int, failed: bool = False) -> None:
        pair = self.rng.choice(list(self.recorders.values())).pair(self.ratio)
        counters = pair.canary if bucket < canaries(self.ratio) else pair.stable
        if failed:
            counters.fail("status_500", bucket)
        else:
            counters.succeed(0.1, bucket)

    def visit(self) -> None:
        """Everybody comes once, and all of who was seen is told."""
        for bucket in self.people:
            self.request(bucket)
        self.look(SLICES)

    def on(self, canary: bool) -> list[int]:
        return [bucket for bucket in self.people if (bucket < canaries(self.ratio)) == canary]


def test_one_visitor_is_one_event_however_often_and_wherever() -> None:
    service = Service()
    service.visit()
    for _ in range(50):
        service.request(service.on(canary=True)[0], failed=True)
        service.look()
    verdict = service.judge.verdict()
    assert verdict.outcome == INCONCLUSIVE
    assert (verdict.gates[0].comparisons[0].events, verdict.gates[0].comparisons[0].canary) == (1, 1)
    assert verdict.canary.failures == 50


def test_many_visitors_are_many_events() -> None:
    service = Service()
    service.visit()
    for bucket in service.on(canary=True)[:40]:
        service.request(bucket, failed=True)
    service.look()
    verdict = service.judge.verdict()
    assert verdict.outcome == ROLLBACK
    assert verdict.gates[0].comparisons[0].events == 40


@pytest.mark.parametrize(("gone", "failures", "wrong"), [(False, 1, ROLLBACK), (True, 2, PASS)])
def test_who_has_come_and_gone_is_no_evidence(gone: bool, failures: int, wrong: str) -> None:
    """By chance they were on one version. Of those who come later, the canary's fail once or twice as often."""
    service = Service(visitors=1000, ratio=0.5)
    for bucket in service.on(canary=gone):
        service.request(bucket)
    service.look(SLICES)
    for number in range(60):
        for bucket in (*range(number * failures, (number + 1) * failures), BUCKETS - 1 - number):
            service.request(bucket, failed=True)
        service.look()
    assert service.judge.verdict().outcome != wrong


@pytest.mark.parametrize("hit", [0, 12])
def test_what_is_acceptable_is_of_visitors(hit: int) -> None:
    """The canary has had two hundred visitors at least: if none is hit, that is below 5 %; if twelve are, it is not."""
    service = Service(Plan(gates=Gates(FailureGate(acceptable=0.05), None)))
    service.visit()
    few = Service(Plan(gates=Gates(FailureGate(acceptable=0.05), None)), visitors=400)
    few.visit()
    assert few.judge.outcome()[0] == INCONCLUSIVE
    for bucket in service.on(canary=True)[:hit]:
        service.request(bucket, failed=True)
    for bucket in service.on(canary=False)[: hit * 5]:
        service.request(bucket, failed=True)
    service.look()
    assert service.judge.outcome()[0] == (PASS if not hit else INCONCLUSIVE)


def test_at_a_ratio_of_one_requests_count() -> None:
    service = Service(ratio=1.0)
    service.visit()
    for bucket in service.people[:2000]:
        service.request(bucket, failed=True)
    service.look()
    assert service.judge.outcome()[0] == ROLLBACK


@pytest.mark.parametrize(("requests", "alarm"), [(0, False), (300, False), (3000, True)])
def test_a_very_busy_visitor_makes_an_alarm(requests: int, alarm: bool) -> None:
    service = Service()
    service.visit()
    busy = service.on(canary=True)[0]
    for _ in range(requests):
        service.request(busy)
    service.look()
    assert bool(service.judge.verdict().share.alarm) == alarm
