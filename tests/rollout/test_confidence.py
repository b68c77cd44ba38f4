from __future__ import annotations

from itertools import accumulate
from math import comb, exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rollout.confidence import Interval, Likelihood, log_wealth_against, rate_interval
from app.rollout.evidence import Bad
from app.rollout.wealth import log_mean
from tests.rollout.exact import chance, paths

EVENTS = st.lists(
    st.builds(Bad, st.floats(0.001, 0.999), st.integers(0, 500), st.integers(0, 500), st.none()), max_size=5
)


def of(*events: Bad) -> Likelihood:
    return Likelihood().after(events)


def log_likelihood(theta: float, events: list[Bad]) -> float:
    return sum(
        each.canary * log(chance(theta, each.w)) + each.stable * log(1 - chance(theta, each.w))
        for each in events
    )


def by_search(events: list[Bad], alpha: float) -> tuple[float, float]:
    """The interval by its definition, on a grid a hundred times as fine."""
    grid = [2 ** (step / 3) for step in range(-24, 25)]
    bound = log_mean([log_likelihood(theta, events) for theta in grid]) + log(alpha)
    inside = [
        theta for step in range(-3000, 3001) if log_likelihood(theta := exp(step / 300), events) > bound
    ]
    return min(inside), max(inside)


@given(
    EVENTS.filter(
        lambda events: 3 < sum(each.canary for each in events) < sum(each.total for each in events) - 3
    )
)
@settings(deadline=None, max_examples=60)
def test_the_interval_has_all_in_it_that_the_mixture_does_not_refute_and_hardly_more(
    events: list[Bad],
) -> None:
    low, high = by_search(events, 0.01)
    found = of(*events).interval(0.01)
    assert found.low <= low * 1.004
    assert found.high >= high / 1.004
    assert found.low > low / 1.5 or low < 2**-8
    assert found.high < high * 1.5 or high > 2**8


@given(st.floats(0.01, 0.9), st.floats(0.2, 8), st.integers(40, 10_000))
def test_the_estimate_is_the_likeliest(w: float, theta: float, events: int) -> None:
    y = chance(theta, w)
    found = of(Bad(w, y * events, (1 - y) * events)).interval(0.01)
    assert found.estimate == pytest.approx(theta, rel=0.02)
    assert found.low <= theta <= found.high


@pytest.mark.parametrize(
    ("events", "interval"),
    [
        ([], Interval(None, 0.0, None)),
        ([Bad(1.0, 5, 0)], Interval(None, 0.0, None)),
        ([Bad(0.0, 0, 5)], Interval(None, 0.0, None)),
    ],
)
def test_without_events_nothing_is_known(events: list[Bad], interval: Interval) -> None:
    assert of(*events).interval(0.01) == interval


def test_when_only_one_version_fails_there_is_but_one_bound() -> None:
    estimate, low, high = of(Bad(0.1, 0, 200)).interval(0.01)
    assert (estimate, low) == (0.0, 0.0)
    assert 0.1 < high < 1
    estimate, low, high = of(Bad(0.1, 20, 0)).interval(0.01)
    assert (estimate, high) == (None, None)
    assert low > 10


@pytest.mark.parametrize("canary", [3000, 1])
def test_the_estimate_stays_in_its_grid(canary: int) -> None:
    events = Bad(0.5, canary, 1) if canary > 1 else Bad(0.5, 1, 3000)
    assert of(events).interval(0.01).estimate == pytest.approx(256 if canary > 1 else 1 / 256)


@pytest.mark.parametrize("w", [0.1, 0.5])
@pytest.mark.parametrize("theta", [0.5, 1.0, 3.0])
def test_the_truth_is_ever_outside_with_a_probability_of_alpha_at_most(theta: float, w: float) -> None:
    def after(state: Likelihood, canary: bool) -> Likelihood:
        return state.after([Bad(w, float(canary), float(not canary))])

    ever = 0.0
    for probability, states in paths(Likelihood(), after, 8, chance(theta, w)):
        intervals = [state.interval(0.2) for state in states]
        ever += probability * any(not each.low <= theta <= (each.high or theta) for each in intervals)
    assert ever <= 0.2


@given(EVENTS, EVENTS, EVENTS)
def test_three_instances_are_as_one(one: list[Bad], two: list[Bad], three: list[Bad]) -> None:
    merged = of(*one) + of(*two) + of(*three)
    assert merged.vector() == pytest.approx(of(*one, *two, *three).vector(), rel=1e-9, abs=1e-9)


@given(EVENTS)
def test_a_vector_is_all_there_is_to_keep(events: list[Bad]) -> None:
    assert Likelihood.of_vector(of(*events).vector()) == of(*events)


def test_a_vector_of_another_length_is_none() -> None:
    with pytest.raises(ValueError, match="97 sums, not 98"):
        Likelihood.of_vector(of().vector()[:-1])


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5, 0.9])
def test_the_wealth_against_the_true_rate_is_one_in_the_mean(rate: float) -> None:
    mean = sum(
        comb(30, bad) * rate**bad * (1 - rate) ** (30 - bad) * exp(log_wealth_against(rate, bad, 30))
        for bad in range(31)
    )
    assert mean == pytest.approx(1)


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_the_true_rate_is_ever_outside_with_a_probability_of_alpha_at_most(rate: float) -> None:
    ever = 0.0
    for probability, states in paths(0, lambda bad, hit: bad + hit, 10, rate):
        intervals = [rate_interval(bad, total, 0.2) for total, bad in enumerate(states) if total]
        ever += probability * any(not each.low <= rate <= each.high for each in intervals)
    assert ever <= 0.2


@given(st.integers(0, 300), st.integers(1, 3000), st.sampled_from([0.001, 0.01, 0.2]))
@settings(deadline=None)
def test_the_rates_that_are_not_refuted_are_one_interval(bad: int, more: int, alpha: float) -> None:
    found = rate_interval(bad, bad + more, alpha)
    rates = [step / 400 for step in range(1, 400)]
    inside = [log_wealth_against(rate, bad, bad + more) < -log(alpha) for rate in rates]
    for rate, held in zip(rates, inside, strict=True):
        assert held == (found.low < rate < found.high), rate


@pytest.mark.parametrize(
    ("bad", "total", "expected"),
    [
        (0, 0, Interval(None, 0.0, 1.0)),
        (0, 5000, Interval(0.0, 0.0, 0.00095)),
        (10, 10, Interval(1.0, 0.165, 1.0)),
    ],
)
def test_rates(bad: int, total: int, expected: Interval) -> None:
    found = rate_interval(bad, total, 0.01)
    assert found.estimate == expected.estimate
    assert found[1:] == pytest.approx(expected[1:], abs=0.001)


def test_it_narrows() -> None:
    widths = [
        found.high - found.low for found in (rate_interval(n, 100 * n, 0.01) for n in accumulate([1] * 20))
    ]
    assert widths == sorted(widths, reverse=True)
