from __future__ import annotations

from app.rollout.buckets import SLICES, Buckets
from app.rollout.observed import MOST_RECENT, MOST_STRATA, Diverted, Observed, Outcomes, Recent, Stratum
from app.rollout.report import dump, load
from tests.support.recorder import Recorder

BOUNDS = (0.1, 0.2, 0.4)


def test_each_outcome_is_counted_where_it_belongs() -> None:
    recorder = Recorder()
    pair = recorder.pair(0.1)
    pair.canary.succeed(0.1)
    pair.canary.fail("status_500")
    pair.canary.fail("reset")
    pair.canary.fail("reset")
    pair.canary.abort()
    pair.stable.succeed(3)
    pair.diverted += 2
    canary = Outcomes(4, 1, {"status_500": 1, "reset": 2})
    assert recorder.observed(False) == Observed((Stratum(0.1, Outcomes(1), canary, Diverted(2)),))


def test_slow_is_what_misses_a_bar() -> None:
    recorder = Recorder()
    recorder.set_bars((500, 400, 95, 5), BOUNDS)
    recorder.standard.over = 0.15
    canary = recorder.pair(0.1).canary
    for seconds in (0.05, 0.1, 0.15, 0.2, 0.25, 9):
        canary.succeed(seconds)
    assert recorder.observed(False).strata[0].canary.slow == (4, 2, 1, 3)


def test_before_there_are_bars_nothing_is_slow() -> None:
    recorder = Recorder()
    recorder.pair(0.1).canary.succeed(99)
    assert recorder.observed(False).strata[0].canary.slow == (0, 0, 0, 0)


def test_few_responses_change_no_bar() -> None:
    recorder = Recorder()
    recorder.set_bars((500, 400, 95, 5), BOUNDS)
    before = recorder.standard.bars
    recorder.set_bars((5, 4, 0, 0), BOUNDS)
    assert recorder.standard.bars == before


def test_a_ratio_that_comes_back_goes_on() -> None:
    recorder = Recorder()
    recorder.pair(0.1).stable.abort()
    recorder.pair(0.2)
    recorder.pair(0.1).stable.abort()
    assert [(each.ratio, each.stable.aborts) for each in recorder.observed(False).strata] == [
        (0.2, 0),
        (0.1, 2),
    ]


def test_only_so_many_ratios_are_kept() -> None:
    recorder = Recorder()
    for step in range(100):
        recorder.pair(step / 100)
    assert [each.ratio for each in recorder.observed(False).strata] == [
        step / 100 for step in range(100 - MOST_STRATA, 100)
    ]


def test_visitors() -> None:
    recorder = Recorder()
    recorder.set_bars((500, 400, 95, 5), BOUNDS)
    recorder.standard.over = 1.0
    pair = recorder.pair(0.1)
    pair.stable.fail("reset", 1000)
    pair.canary.fail("reset", 3)
    pair.stable.fail("reset", 1000)
    pair.canary.succeed(0.15, 4)
    pair.canary.succeed(2, 4)
    recorder.pair(0.2).canary.fail("reset", 2)
    visitors = recorder.observed(True).visitors
    assert visitors
    assert visitors.recent == {
        "failures": (Recent(0.1, (1000, 3)), Recent(0.2, (2,))),
        "p50": (Recent(0.1, (4,)),),
        "p90": (Recent(0.1, (4,)),),
        "p99": (Recent(0.1, (4,)),),
        "over": (Recent(0.1, (4,)),),
    }
    assert visitors.canary == 3


def test_whom_the_canary_had_is_forgotten_when_it_is_recalled() -> None:
    recorder = Recorder()
    recorder.pair(0.1).canary.succeed(0.1, 4)
    recorder.pair(0.0).stable.succeed(0.1, 4)
    visitors = recorder.observed(True).visitors
    assert visitors
    assert visitors.canary == 0


def test_all_who_were_seen_are_told_slice_by_slice() -> None:
    recorder, told = Recorder(), Buckets()
    counters = recorder.pair(0.1).stable
    seen = set(range(0, 2**20, 4099))
    for bucket in seen:
        counters.succeed(0.1, bucket)
    for _ in range(SLICES):
        visitors = recorder.observed(True).visitors
        assert visitors
        told.join(visitors.part, visitors.seen)
    assert {bucket for bucket in range(2**20) if bucket in told} == seen


def test_a_report_stays_small_under_a_flood_of_failures() -> None:
    recorder = Recorder()
    pair = recorder.pair(0.1)
    for bucket in range(5000):
        pair.canary.fail("reset", bucket)
    report = recorder.observed(True)
    assert report.visitors
    ((group),) = report.visitors.recent["failures"]
    assert group.buckets == tuple(range(5000 - MOST_RECENT, 5000))
    assert report.strata[0].canary.failed == 5000
    assert load(dump(report)) == report
