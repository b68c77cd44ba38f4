from __future__ import annotations

import random

import pytest

from app.rollout.share import Share, ShareWatch


def watch(*counts: tuple[float, int, int], visitors: int | None = None) -> Share:
    shares = ShareWatch()
    shares.sticky, shares.visitors = visitors is not None, visitors or 0
    for ratio, canary, stable in counts:
        shares.take(ratio, canary, stable)
    return shares.share()


def test_without_requests_nothing_is_said() -> None:
    assert watch() == Share(None, None, None)
    assert watch((0.1, 0, 0)) == Share(None, None, None)


def test_the_share_asked_is_that_of_the_requests() -> None:
    assert watch((0.1, 10, 90), (0.5, 50, 50)) == Share(pytest.approx(0.3), 0.3, None)


@pytest.mark.parametrize(
    "counts",
    [
        [(0.1, 100, 900)],
        [(0.1, 3, 7)],
        [(0.01, 0, 100)],
        [(1.0, 1000, 3)],
        [(0.0, 3, 1000)],
        [(0.5, 4, 4), (1.0, 900, 4)],
        [(0.1, 1_000_300, 8_999_700)],
        [(0.1, 100, 900), (0.5, 100, 100)],
    ],
)
def test_small_differences_are_chance(counts: list[tuple[float, int, int]]) -> None:
    assert watch(*counts).alarm is None


@pytest.mark.parametrize(
    "counts",
    [
        [(0.1, 200, 800)],
        [(0.1, 0, 1000)],
        [(0.01, 0, 3000)],
        [(1.0, 500, 500)],
        [(0.0, 1000, 0)],
        [(0.5, 100, 100), (1.0, 900, 100)],
        [(0.1, 1_060_000, 8_940_000)],
        [(0.1, 100, 900), (0.5, 200, 100)],
    ],
)
def test_large_ones_are_told(counts: list[tuple[float, int, int]]) -> None:
    alarm = watch(*counts).alarm
    assert alarm
    assert "of the requests, not" in alarm


def test_the_alarm_names_both_shares() -> None:
    assert watch((0.1, 200, 800)).alarm == "the canary gets 20.000% of the requests, not 10.000%"


def test_chance_gives_no_alarm() -> None:
    rng, alarms = random.Random(1), 0
    for _ in range(100):
        shares = ShareWatch()
        for _ in range(300):
            canary = sum(rng.random() < 0.1 for _ in range(10))
            shares.take(0.1, canary, 10 - canary)
            alarms += shares.share().alarm is not None
    assert alarms == 0


@pytest.mark.parametrize(
    ("canary", "visitors", "alarm"),
    [(150, 500, False), (300, 500, True), (300, 99, False), (30, 500, True), (0, 500, False)],
)
def test_where_visitors_stick_only_a_great_difference_counts(canary: int, visitors: int, alarm: bool) -> None:
    assert bool(watch((0.1, canary, 1000 - canary), visitors=visitors).alarm) == alarm
