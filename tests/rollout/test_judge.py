from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from app.errors import InvalidState
from app.rollout.judge import Judge
from app.rollout.observed import Observed, Outcomes, Stratum
from app.rollout.plan import FailureGate, Gates, Plan, SlowGate
from app.rollout.verdict import INCONCLUSIVE, PASS, ROLLBACK
from tests.rollout.reports import observed, outcomes

FAILURES_ONLY = Plan(gates=Gates(slow=None))
NOTHING = outcomes(0)


def judged(plan: Plan, *reports: Observed, seconds: float = 60.0) -> Judge:
    """After a look at nothing, and one at each report of one instance."""
    judge = Judge(plan)
    judge.look({"a": observed(reports[0].strata[0].ratio, NOTHING, NOTHING)}, 0)
    for report in reports:
        judge.look({"a": report}, seconds)
    return judge


def test_a_canary_that_fails_five_times_as_often_is_rolled_back() -> None:
    verdict = judged(FAILURES_ONLY, observed(0.1, outcomes(9000, 45), outcomes(1000, 25))).verdict()
    assert verdict.outcome == ROLLBACK
    assert "failures" in verdict.reason
    assert verdict.against > verdict.needed
    (gate,) = verdict.gates
    (figures,) = gate.comparisons
    assert (gate.name, figures.events, figures.canary) == ("failures", 70, 25)
    assert figures.theta.estimate == pytest.approx(5, rel=0.02)
    assert (verdict.canary.rate.estimate, verdict.stable.rate.estimate) == (0.025, 0.005)


def test_nobody_is_rolled_back_for_two_failures() -> None:
    verdict = judged(FAILURES_ONLY, observed(0.001, outcomes(99_900, 0), outcomes(100, 2))).verdict()
    assert verdict.against > verdict.needed
    assert verdict.outcome == INCONCLUSIVE


def test_nor_for_two_slow_answers() -> None:
    stable, canary = outcomes(99_900), outcomes(100, 0, (2, 2, 2, 0))
    verdict = judged(
        Plan(gates=Gates(None, SlowGate()), alpha=0.2), observed(0.001, stable, canary)
    ).verdict()
    assert verdict.against > verdict.needed
    assert verdict.outcome == PASS


def test_a_canary_as_good_as_stable_passes() -> None:
    verdict = judged(FAILURES_ONLY, observed(0.5, outcomes(9000, 90), outcomes(9000, 90))).verdict()
    assert verdict.outcome == PASS
    assert verdict.seconds_left == 0.0


def test_no_traffic_is_no_verdict() -> None:
    verdict = judged(Plan(), observed(0.1, NOTHING, NOTHING)).verdict()
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.seconds_left is None
    assert verdict.share.alarm is None


def test_where_failures_are_rare_the_acceptable_rate_decides() -> None:
    few, many = (observed(0.1, outcomes(9 * n), outcomes(n)) for n in (4000, 6000))
    assert judged(FAILURES_ONLY, few).verdict().outcome == INCONCLUSIVE
    assert judged(FAILURES_ONLY, many).verdict().outcome == PASS


def test_at_a_ratio_of_one_the_canary_is_held_to_the_limit() -> None:
    well, ill = (observed(1.0, NOTHING, outcomes(3000, failures)) for failures in (60, 300))
    assert judged(FAILURES_ONLY, well).verdict().outcome == INCONCLUSIVE  # and no pass: it is no comparison
    assert judged(FAILURES_ONLY, ill).verdict().outcome == ROLLBACK
    unlimited = Plan(gates=Gates(FailureGate(limit=None), None))
    assert judged(unlimited, ill).verdict().outcome != ROLLBACK


def test_what_happens_at_a_ratio_of_one_is_no_comparison() -> None:
    figures = (
        judged(FAILURES_ONLY, observed(1.0, NOTHING, outcomes(3000, 60))).verdict().gates[0].comparisons[0]
    )
    assert figures.events == 0
    assert figures.theta.estimate is None


def test_a_slow_canary_is_rolled_back() -> None:
    stable, canary = outcomes(9000, 0, (4500, 900, 90, 0)), outcomes(1000, 0, (800, 400, 100, 0))
    verdict = judged(Plan(), observed(0.1, stable, canary)).verdict()
    assert verdict.outcome == ROLLBACK
    assert "slow" in verdict.reason
    assert [figures.name for figures in verdict.gates[1].comparisons] == ["p50", "p90", "p99"]


def test_a_faster_canary_is_not() -> None:
    stable, canary = outcomes(9000, 0, (4500, 900, 90, 0)), outcomes(1000, 0, (100, 20, 1, 0))
    verdict = judged(Plan(), observed(0.1, stable, canary)).verdict()
    assert verdict.outcome != ROLLBACK
    assert verdict.against < 1


def test_a_bar_of_the_plans_own_is_one_more() -> None:
    plan = Plan(gates=Gates(None, SlowGate(over=0.3)))
    late = observed(0.1, outcomes(9000, 0, (0, 0, 0, 90)), outcomes(1000, 0, (0, 0, 0, 200)))
    assert judged(plan, late).verdict().outcome == ROLLBACK
    assert judged(Plan(gates=Gates(None, SlowGate())), late).verdict().outcome == PASS


def test_with_a_margin_the_canary_must_prove_itself_at_each_bar() -> None:
    plan = Plan(gates=Gates(None, SlowGate(margin=2.0)))
    well = observed(0.5, outcomes(9000, 0, (4500, 900, 90, 0)), outcomes(9000, 0, (4500, 900, 90, 0)))
    unknown = observed(0.5, outcomes(9000, 0, (4500, 900, 9, 0)), outcomes(9000, 0, (4500, 900, 9, 0)))
    assert judged(plan, well).verdict().outcome == PASS
    assert judged(plan, unknown).verdict().outcome == INCONCLUSIVE


def test_two_gates_share_alpha() -> None:
    """What is barely enough by one gate alone is not enough beside another that has nothing to say."""
    report = observed(0.1, outcomes(9000, 45), outcomes(1000, 16))
    alone, both = judged(FAILURES_ONLY, report).verdict(), judged(Plan(), report).verdict()
    assert alone.outcome == ROLLBACK
    assert both.outcome != ROLLBACK
    assert both.gates[0].against == alone.against < both.gates[0].needed


def test_without_gates_only_time_decides() -> None:
    verdict = judged(Plan(gates=Gates(None, None)), observed(0.1, outcomes(9), outcomes(9, 9))).verdict()
    assert (verdict.outcome, verdict.seconds_left) == (PASS, 0.0)


def test_warm_up_does_not_count() -> None:
    judge = Judge(FAILURES_ONLY)
    judge.look({"a": observed(0.1, NOTHING, NOTHING)}, 1)
    judge.look({"a": observed(0.1, outcomes(90), outcomes(10, 10))}, 1, counting=False)
    judge.look({"a": observed(0.1, outcomes(180), outcomes(20, 10))}, 1)
    assert judge.canary_requests == 10
    assert judge.verdict().canary.failures == 0


def test_shares_are_of_one_step() -> None:
    judge = judged(FAILURES_ONLY, observed(0.1, outcomes(500), outcomes(500)))
    assert judge.verdict().share.alarm
    judge.begin_step()
    assert judge.verdict().share.alarm is None
    assert judge.canary_requests == 500


def test_what_was_diverted_is_missed() -> None:
    shares = [
        judged(FAILURES_ONLY, observed(0.1, outcomes(900), outcomes(100), diverted)).verdict().share
        for diverted in (0, 1000)
    ]
    assert shares[0].alarm is None
    assert (shares[1].seen, bool(shares[1].alarm)) == (0.05, True)


def traffic(rng: random.Random, before: Outcomes, requests: int) -> Outcomes:
    failures = before.failed + sum(rng.random() < 0.01 for _ in range(requests))
    slow = tuple(
        count + rng.randrange(requests + 1) // (place + 2) for place, count in enumerate(before.slow)
    )
    return outcomes(before.requests + requests, failures, slow)


def test_three_instances_are_judged_as_one() -> None:
    rng, whole, parts = random.Random(3), Judge(Plan()), Judge(Plan())
    stable, canary = [NOTHING] * 3, [NOTHING] * 3
    for _ in range(50):
        reports = [observed(0.1, *pair) for pair in zip(stable, canary, strict=True)]
        parts.look({str(number): report for number, report in enumerate(reports)}, 1)
        whole.look({"a": observed(0.1, *(total(side) for side in (stable, canary)))}, 1)
        stable = [traffic(rng, each, 90) for each in stable]
        canary = [traffic(rng, each, 10) for each in canary]
    one, other = whole.verdict(), parts.verdict()
    assert one.against == pytest.approx(other.against, abs=1e-9)
    for mine, others in zip(one.gates, other.gates, strict=True):
        for left, right in zip(mine.comparisons, others.comparisons, strict=True):
            assert left.theta == pytest.approx(right.theta, abs=1e-9)
            assert left.against == pytest.approx(right.against, abs=1e-9)


def total(each: list[Outcomes]) -> Outcomes:
    slow = tuple(map(sum, zip(*(one.slow for one in each), strict=True)))
    return outcomes(sum(one.requests for one in each), sum(one.failed for one in each), slow)


def test_evidence_survives_a_restart() -> None:
    rng, judge = random.Random(4), Judge(Plan())
    stable = canary = NOTHING
    for _ in range(30):
        judge.look({"a": observed(0.1, stable, canary)}, 1)
        stable, canary = traffic(rng, stable, 90), traffic(rng, canary, 10)
    other = Judge.load(Plan(), json.loads(json.dumps(judge.dump())))
    assert replace(other.verdict(), share=judge.verdict().share, seconds_left=None) == replace(
        judge.verdict(), seconds_left=None
    )
    for each in (judge, other):
        each.look({"a": observed(0.1, stable, canary)}, 1)
    assert other.verdict().gates == judge.verdict().gates
    assert other.canary_requests == judge.canary_requests == 300


@pytest.mark.parametrize("name", ["cases", "intake", "totals"])
@pytest.mark.parametrize("value", [None, {}, [1]])
def test_what_is_no_evidence(name: str, value: Any) -> None:
    dumped = Judge(Plan()).dump() | {name: value}
    with pytest.raises(InvalidState, match="not the evidence on a canary"):
        Judge.load(Plan(), dumped)


def test_evidence_of_other_gates_is_none() -> None:
    with pytest.raises(InvalidState):
        Judge.load(Plan(), Judge(FAILURES_ONLY).dump())


def test_how_long_it_will_take() -> None:
    judge = judged(FAILURES_ONLY, observed(0.1, outcomes(2700, 14), outcomes(300, 1)))
    left = judge.verdict().seconds_left
    assert left
    assert 5 * 60 < left < 20 * 60


def test_how_long_until_it_is_acceptable() -> None:
    judge = judged(FAILURES_ONLY, observed(0.1, outcomes(9000), outcomes(1000)))
    assert judge.verdict().seconds_left == pytest.approx(60 * 3.9, rel=0.1)


def test_it_may_never_come() -> None:
    gate = Gates(FailureGate(acceptable=1e-6), None)
    judge = judged(Plan(gates=gate), observed(0.1, outcomes(9), outcomes(1)))
    assert judge.verdict().seconds_left is None


def test_old_strata_count_under_their_own_ratio() -> None:
    judge = Judge(FAILURES_ONLY)
    old, new = Stratum(0.01), Stratum(0.5)
    judge.look({"a": Observed((old, new))}, 1)
    old, new = (
        Stratum(0.01, outcomes(9900, 99), outcomes(100, 1)),
        Stratum(0.5, outcomes(500, 5), outcomes(500, 5)),
    )
    judge.look({"a": Observed((old, new))}, 1)
    assert judge.verdict().gates[0].comparisons[0].theta.estimate == pytest.approx(1, rel=0.05)
