"""What docs/rollout.md promises of the verdict, in a few dozen seeded runs; bench.verdict makes a thousand."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bench import verdict
from bench.canaries import FAILURES, Minute, Scenario, always, later, reports
from bench.crowds import Town, by_request
from bench.draws import binomial, multinomial
from bench.latencies import Pace
from bench.repeat import Runs, cell, median, share
from bench.rivals import mann_whitney, threshold, z_test
from bench.verdict import (
    BAD,
    BY_FAILURES,
    HEALTHY,
    OURS,
    crowd,
    crowd_passed,
    merged,
    passed,
    rolled_back,
    turned,
)

ROOT = Path(__file__).parents[2]
RUNS = Runs(40)


def ours(scenario: Scenario) -> list[int | None]:
    return RUNS.of(scenario.name, lambda rng: rolled_back(OURS, reports(scenario.run(rng))))


@pytest.mark.parametrize("scenario", HEALTHY, ids=lambda scenario: scenario.name)
def test_a_healthy_canary_is_not_rolled_back(scenario: Scenario) -> None:
    assert share(ours(scenario)) <= 1 / RUNS.count


@pytest.mark.parametrize(("scenario", "minutes"), list(zip(BAD, (15, 3, 1), strict=True)))
def test_a_bad_canary_is_found_in_time(scenario: Scenario, minutes: int) -> None:
    found = ours(scenario)
    assert share(found) == 1
    assert median(found) <= minutes


def test_a_canary_that_turns_bad_late_is_found_as_fast_as_another() -> None:
    scenario = Scenario("late", later(5.0, 60), looks=80)
    found, alone = zip(*Runs(10).of("late", partial(turned, scenario, 60)), strict=True)
    assert median(found) <= 4
    assert median(alone) > median(found)


def test_one_unlucky_visitor_is_not_many() -> None:
    by_visitors, by_requests = zip(
        *Runs(20).of("town", partial(crowd, Town("town", minutes=30))), strict=True
    )
    assert share(by_visitors) == 0
    assert share(by_requests) > 0.1


def test_a_bad_canary_passes_only_if_those_at_risk_are_taken_wrongly() -> None:
    town = Town("margin", 2.0, unlucky=0, failures=5 * FAILURES, minutes=30)
    assert share(Runs(8).of("margin", partial(crowd_passed, town, False))) <= 1 / 8
    assert share(Runs(4).of("margin", partial(crowd_passed, town, True))) >= 0.5


@pytest.mark.parametrize(("times", "most"), [(1.0, 0.05), (2.0, 0.1)])
def test_who_passes(times: float, most: float) -> None:
    scenario = Scenario("passes", always(times), looks=60)
    found = Runs(20).of("passes", partial(passed, scenario))
    assert share(found) <= most if times == 2 else share(found) == 1


@pytest.mark.parametrize(("times", "minutes"), [(1.0, None), (0.75, None), (1.1, 10), (1.25, 2), (2.0, 1)])
def test_slow_canaries(times: float, minutes: int | None) -> None:
    found = Runs(20).of("pace", lambda rng: rolled_back(OURS, Pace("pace", times).reports(rng)))
    assert median(found) <= minutes if minutes else share(found) == 0


def test_false_alarms_of_one_gate() -> None:
    for w in (0.01, 0.1, 0.5):
        assert share(Runs(30).of(f"w {w}", partial(verdict.false_alarm, w))) <= 1 / 30


def test_three_instances_come_to_the_same_as_one() -> None:
    assert max(Runs(5).of("merged", partial(merged, BAD[1]))) < 1e-9


def test_a_twenty_percent_failing_canary_is_found_within_seconds() -> None:
    scenario = Scenario("20 %", always(40), looks=10, requests=500)
    found = RUNS.of("20 %", lambda rng: rolled_back(OURS, reports(scenario.run(rng)), 1))
    assert max(found) <= 3


@pytest.mark.parametrize(("looks", "published"), [(1, 0.05), (5, 0.142), (20, 0.248)])
def test_peeking(looks: int, published: float) -> None:
    found = Runs(4000).of("peeking", partial(verdict.significant, looks))
    assert share(found) == pytest.approx(published, abs=0.02)


def test_all_tables_are_printed(capsys) -> None:
    verdict.main(["--runs", "2", "--only", "rollbacks,type_one,peeking"])
    printed = capsys.readouterr().out
    assert "2 runs of each scenario" not in printed
    assert printed.count("| --- |") >= 3
    assert "healthy, shared outage of 5 min" in printed


def test_a_table_that_is_not_there() -> None:
    with pytest.raises(SystemExit, match="tables: none of rollbacks, "):
        verdict.main(["--only", "tables"])


def test_runs_are_the_same_in_several_processes() -> None:
    """In a program of its own, for gevent's patched locks and a pool of processes do not go together."""
    tables = [
        subprocess.run(
            [sys.executable, "-m", "bench.verdict", "--runs", "20", "--only", "peeking", "--jobs", jobs],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=ROOT,
        ).stdout
        for jobs in ("1", "2")
    ]
    assert tables[0] == tables[1]
    assert "| 100 | 0.374 |" in tables[0]


@pytest.mark.parametrize(
    ("when", "text"), [([3, None, 5], "66.7% (5)"), ([None, None, 5], "33.3%"), ([1], "100.0% (1)")]
)
def test_a_cell(when: list[int | None], text: str) -> None:
    assert cell(when) == text


@pytest.mark.parametrize(("trials", "chance"), [(300, 0.005), (3000, 0.5), (40, 0.9), (5000, 0.02), (1, 0.3)])
def test_draws_have_the_right_mean_and_spread(trials: int, chance: float) -> None:
    rng = random.Random(7)
    drawn = [binomial(rng, trials, chance) for _ in range(4000)]
    spread = (trials * chance * (1 - chance)) ** 0.5
    assert abs(statistics.fmean(drawn) - trials * chance) < 4 * spread / 4000**0.5
    assert statistics.stdev(drawn) == pytest.approx(spread, rel=0.06)
    assert all(0 <= each <= trials for each in drawn)


@pytest.mark.parametrize(
    ("trials", "chance", "drawn"), [(0, 0.5, 0), (9, 0.0, 0), (9, 1.0, 9), (9, -1e-18, 0)]
)
def test_draws_without_chance(trials: int, chance: float, drawn: int) -> None:
    assert binomial(random.Random(1), trials, chance) == drawn


def test_many_outcomes_make_the_whole() -> None:
    rng = random.Random(1)
    drawn = [multinomial(rng, 1000, [0.2, 0.0, 0.5, 0.3]) for _ in range(200)]
    assert {sum(counts) for counts in drawn} == {1000}
    assert {counts[1] for counts in drawn} == {0}
    assert statistics.fmean(counts[2] for counts in drawn) == pytest.approx(500, rel=0.02)


def minutes(canary_failed: list[int], stable_failed: int = 13) -> list[Minute]:
    return [Minute(0.1, 300, failed, 2700, stable_failed) for failed in canary_failed]


def test_the_z_test_is_the_textbooks() -> None:
    """300 and 2,700 requests with 5 and 13 failures: z = 2.55; with 4: 1.83; with 3: 1.11. Critical is 1.645."""
    assert [z_test(minutes([failed])) for failed in (5, 4, 3)] == [1, 1, None]


def test_the_threshold_counts_all_misses() -> None:
    assert threshold(minutes([4, 0, 4, 0, 4, 4, 0, 4, 4])) == 8
    assert threshold(minutes([3] * 60)) is None


def test_the_mann_whitney_rule_looks_every_ten_minutes() -> None:
    assert mann_whitney(minutes([1, 2] * 10)) is None
    assert mann_whitney(minutes([1, 2] * 5 + [9, 12] * 5)) == 20
    assert mann_whitney(minutes([9] * 9)) is None


def test_requests_of_a_town_are_those_of_its_visitors() -> None:
    town = Town("town", visitors=200, minutes=3)
    run = town.run(random.Random(1))
    taken = by_request(town, run)
    assert [minute.canary_failed + minute.stable_failed for minute in taken] == [
        len(failed) for failed in run[:-1]
    ]
    assert len(run[-1]) == 200


def test_one_gate_alone_is_what_the_docs_say() -> None:
    assert BY_FAILURES.gates.slow is None
    assert BY_FAILURES.alpha == OURS.alpha == 0.01
