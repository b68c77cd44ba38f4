from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rollout.evidence import FAILURE_FACTORS, MARGIN_FACTORS, SLOW_FACTORS, Bad, accuse, acquit, gains
from tests.rollout.exact import chance

SHARES = (0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999)
TOLERANCES = (0.8, 1.0, 1.5, 3.0)
CANARY, STABLE = (1.0, 0.0), (0.0, 1.0)


def mean_factors(hypothesis, w: float, theta: float) -> list[float]:
    """What each bet is multiplied by at one event, in the mean."""
    y = chance(theta, w)
    won, lost = (gains(hypothesis, [Bad(w, *who)]) for who in (CANARY, STABLE))
    return [y * exp(one) + (1 - y) * exp(other) for one, other in zip(won, lost, strict=True)]


@pytest.mark.parametrize("w", SHARES)
@pytest.mark.parametrize("theta", TOLERANCES)
@pytest.mark.parametrize("make", [lambda t: accuse(t, FAILURE_FACTORS), lambda t: acquit(t, MARGIN_FACTORS)])
def test_at_the_boundary_no_bet_gains_or_loses_in_the_mean(make, theta: float, w: float) -> None:
    assert mean_factors(make(theta), w, theta) == pytest.approx([1.0] * len(make(theta).weights), rel=1e-12)


@given(st.sampled_from(SHARES), st.sampled_from(TOLERANCES), st.floats(0.01, 1))
def test_a_canary_better_than_tolerated_loses_every_bet_against_it(
    w: float, tolerance: float, part: float
) -> None:
    assert max(mean_factors(accuse(tolerance, FAILURE_FACTORS), w, tolerance * part)) <= 1 + 1e-12


@given(st.sampled_from(SHARES), st.sampled_from(TOLERANCES), st.floats(1, 100))
def test_a_canary_worse_than_the_margin_loses_every_bet_in_its_favour(
    w: float, margin: float, times: float
) -> None:
    assert max(mean_factors(acquit(margin, MARGIN_FACTORS), w, margin * times)) <= 1 + 1e-12


@pytest.mark.parametrize("theta", [1.25, 2, 5, 100])
def test_the_bet_on_the_truth_grows_fastest(theta: float) -> None:
    hypothesis = accuse(1.0, FAILURE_FACTORS)
    y = chance(theta, 0.1)
    growth = gains(hypothesis, [Bad(0.1, y, 1 - y)])
    assert hypothesis.alternatives[growth.index(max(growth))] == theta


@pytest.mark.parametrize("who", [CANARY, STABLE])
@pytest.mark.parametrize("hypothesis", [accuse(1.5, FAILURE_FACTORS), acquit(2.0, MARGIN_FACTORS)])
@given(w=st.sampled_from(SHARES), at_risk=st.sampled_from(SHARES))
def test_of_visitors_each_bet_gains_the_least_that_it_may(hypothesis, who, w: float, at_risk: float) -> None:
    either = zip(*(gains(hypothesis, [Bad(each, *who)]) for each in (w, at_risk)), strict=True)
    assert gains(hypothesis, [Bad(w, *who, at_risk)]) == tuple(map(min, either))


@pytest.mark.parametrize("at_risk", [0.0, 1.0])
@pytest.mark.parametrize("hypothesis", [accuse(1.0, FAILURE_FACTORS), acquit(2.0, MARGIN_FACTORS)])
def test_a_visitor_counts_though_none_of_the_other_version_are_left(hypothesis, at_risk: float) -> None:
    won, lost = (gains(hypothesis, [Bad(0.5, *who, at_risk)]) for who in (CANARY, STABLE))
    assert max(*won, *lost) > 0 or min(*won, *lost) < 0


def test_a_gain_is_the_logarithm_of_the_likelihood_ratio() -> None:
    hypothesis = accuse(1.5, {2: 1.0})
    odds = [chance(theta, 0.2) for theta in (3.0, 1.5)]
    expected = 4 * log(odds[0] / odds[1]) + 7 * log((1 - odds[0]) / (1 - odds[1]))
    assert gains(hypothesis, [Bad(0.2, 4, 7)]) == pytest.approx((expected,), rel=1e-12)


EVENTS = st.lists(
    st.builds(Bad, st.floats(0.001, 0.999), st.integers(0, 10**6), st.integers(0, 10**6), st.none()),
    max_size=9,
)


@given(EVENTS, EVENTS, EVENTS)
def test_gains_of_three_instances_add_up(one: list[Bad], two: list[Bad], three: list[Bad]) -> None:
    hypothesis = accuse(1.0, FAILURE_FACTORS)
    sums = map(sum, zip(*(gains(hypothesis, events) for events in (one, two, three)), strict=True))
    assert gains(hypothesis, [*one, *two, *three]) == pytest.approx(tuple(sums), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("w", [0.0, 0.0009, 0.9991, 1.0])
def test_what_could_only_go_one_way_is_no_evidence(w: float) -> None:
    assert gains(accuse(1.0, FAILURE_FACTORS), [Bad(w, 7, 9)]) == (0.0,) * 8


def test_why_it_is_left_out_instead_of_clamped() -> None:
    """At a ratio of 1 all failures are the canary's. With w clamped to 0.999 each would count against it."""
    bets = gains(accuse(1.0, FAILURE_FACTORS), [Bad(0.999, 30_000, 0)])
    assert min(bets) > log(1 / 0.01)


@pytest.mark.parametrize("factors", [FAILURE_FACTORS, SLOW_FACTORS, MARGIN_FACTORS])
def test_weights_sum_to_one(factors: dict[float, float]) -> None:
    assert sum(factors.values()) == pytest.approx(1)
