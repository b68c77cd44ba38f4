from __future__ import annotations

from math import exp, log

import pytest

from app.rollout.evidence import FAILURE_FACTORS, MARGIN_FACTORS, Bad, accuse, acquit, gains
from app.rollout.wealth import CappedWealth, RestartedWealth, log_mean, log_sum
from tests.rollout.exact import chance, paths

EVENTS = 10
AGAINST, FAVOUR = accuse(1.0, FAILURE_FACTORS), acquit(2.0, MARGIN_FACTORS)


def event(w: float, canary: bool) -> list[Bad]:
    return [Bad(w, float(canary), float(not canary))]


def restarted(w: float, looks: int = 1):
    """`looks`: so many events are taken at once."""
    gain = {canary: gains(AGAINST, event(w, canary)) for canary in (True, False)}
    start = RestartedWealth.new(len(AGAINST.weights))
    return start, lambda wealth, canary: wealth.after(gain[canary], looks)


def capped(w: float, cap: float):
    gain = {canary: gains(FAVOUR, event(w, canary)) for canary in (True, False)}
    return CappedWealth.new(len(FAVOUR.weights), cap), lambda wealth, canary: wealth.after(gain[canary])


@pytest.mark.parametrize("w", [0.01, 0.1, 0.5])
def test_the_wealth_against_a_healthy_canary_stays_at_one_in_the_mean(w: float) -> None:
    start, after = restarted(w)
    means = [0.0] * (EVENTS + 1)
    for probability, states in paths(start, after, EVENTS, chance(1.0, w)):
        for at, state in enumerate(states):
            means[at] += probability * exp(state.log_total(AGAINST.weights))
    assert means == pytest.approx([1.0] * (EVENTS + 1), rel=1e-9)


def most(states: list, hypothesis) -> float:
    """The highest wealth on a path, as a logarithm."""
    return max(state.log_total(hypothesis.weights) for state in states)


@pytest.mark.parametrize("theta", [1.0, 0.7])
@pytest.mark.parametrize("w", [0.01, 0.1, 0.5])
def test_it_ever_comes_to_one_in_alpha_with_a_probability_of_alpha_at_most(w: float, theta: float) -> None:
    start, after = restarted(w)
    ever = [
        (chance_of, most(states, AGAINST))
        for chance_of, states in paths(start, after, EVENTS, chance(theta, w))
    ]
    for alpha in (0.5, 0.2, 0.05, 0.01):
        assert sum(probability for probability, highest in ever if highest >= -log(alpha)) <= alpha


@pytest.mark.parametrize("theta", [2.0, 4.0])
@pytest.mark.parametrize("cap", [log(3), log(2000)])
def test_evidence_for_a_bad_canary_is_enough_with_a_probability_of_beta_at_most(
    cap: float, theta: float
) -> None:
    start, after = capped(0.5, cap)
    ever = [
        (chance_of, most(states, FAVOUR))
        for chance_of, states in paths(start, after, EVENTS, chance(theta, 0.5))
    ]
    for beta in (0.5, 0.3, 0.05):
        assert sum(probability for probability, highest in ever if highest >= -log(beta)) <= beta


def test_the_first_bet_costs_a_factor_of_two_at_most() -> None:
    _, after = restarted(0.1)
    wealth = RestartedWealth.new(8)
    alone = 0.0
    for _ in range(50):
        wealth = after(wealth, True)
        alone += gains(AGAINST, event(0.1, True))[2]
        assert wealth.bets[2] >= alone - log(2) - 1e-9


def test_a_canary_that_turns_bad_late_need_not_win_back_what_was_lost_while_it_was_well() -> None:
    """After 1,000 events of a healthy one, and then five times the rate: how many events until it is found."""
    w, wealth, alone = 0.1, RestartedWealth.new(8), [0.0] * 8

    def take(theta: float) -> None:
        nonlocal wealth, alone
        expected = gains(AGAINST, [Bad(w, chance(theta, w), 1 - chance(theta, w))])
        wealth = wealth.after(expected, 1)
        alone = [bet + gain for bet, gain in zip(alone, expected, strict=True)]

    for _ in range(1000):
        take(1.0)
    found: dict[str, int] = {}
    for event_number in range(1, 300):
        take(5.0)
        if wealth.log_total(AGAINST.weights) >= log(100):
            found.setdefault("restarted", event_number)
        if log_mean(alone) >= log(100):
            found.setdefault("alone", event_number)
    assert found["restarted"] < 80
    assert found["alone"] > 2 * found["restarted"]


def test_what_counts_for_a_canary_is_capped() -> None:
    start, after = capped(0.1, log(2000))
    wealth = start
    for _ in range(10_000):
        wealth = after(wealth, False)
    assert wealth.log_total(FAVOUR.weights) == pytest.approx(log(2000))
    for _ in range(20):
        wealth = after(wealth, True)
    assert wealth.log_total(FAVOUR.weights) < log(20)


def test_nothing_happens_without_events() -> None:
    wealth = RestartedWealth.new(8)
    assert wealth.after((0.0,) * 8, 0) == wealth
    assert wealth.log_total(AGAINST.weights) == pytest.approx(0)


def test_how_many_events_come_at_once_matters_little() -> None:
    one = many = RestartedWealth.new(8)
    canary, stable = (gains(AGAINST, event(0.1, who)) for who in (True, False))
    for _ in range(20):
        for gain in (canary, stable, stable):
            one = one.after(gain, 1)
        many = many.after(tuple(map(sum, zip(canary, stable, stable, strict=True))), 3)
    assert one.log_total(AGAINST.weights) == pytest.approx(many.log_total(AGAINST.weights), abs=0.1)


def test_sums_of_logarithms() -> None:
    assert log_sum([log(2), log(3)]) == pytest.approx(log(5))
    assert log_mean([-5000.0, -5000.0]) == -5000.0
    assert log_sum([5000.0, 0.0]) == 5000.0
