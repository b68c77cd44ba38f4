from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.histogram import quantile
from app.proxy.stats import BOUNDS, VersionStats

shares = st.floats(0, 1)


def histogram(values: list[float]) -> list[int]:
    stats = VersionStats()
    for value in values:
        stats.answer(200, value)
    return stats.histogram


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(0.5, [0, 0, 0], [1.0, 2.0]) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.25, 0.5), (0.5, 1.0), (0.625, 1.5), (0.75, 2.0), (1.0, 2.0), (0.0, 0.0)]
)
def test_observations_are_evenly_spread_inside_their_bucket(share: float, expected: float) -> None:
    assert quantile(share, [2, 1, 1], [1.0, 2.0]) == pytest.approx(expected)


def test_empty_buckets_are_passed_over() -> None:
    assert quantile(0.5, [0, 0, 4, 0, 0], [1.0, 2.0, 4.0, 8.0]) == pytest.approx(3.0)


@given(st.lists(st.floats(0, 60), min_size=1), shares)
def test_the_estimate_is_in_the_bucket_of_the_true_quantile(values: list[float], share: float) -> None:
    estimate = quantile(share, histogram(values), BOUNDS)
    true = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    bucket = next(index for index, bound in enumerate(BOUNDS) if true <= bound)
    assert estimate is not None
    assert (BOUNDS[bucket - 1] if bucket else 0.0) <= estimate <= BOUNDS[bucket]


@given(st.lists(st.floats(0, 200), min_size=1), shares, shares)
def test_more_of_them_lie_below_a_higher_value(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    buckets = histogram(values)
    assert (quantile(low, buckets, BOUNDS) or 0) <= (quantile(high, buckets, BOUNDS) or 0) <= BOUNDS[-1]
