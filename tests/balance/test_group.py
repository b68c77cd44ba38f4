"""How the next server of a group is chosen."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.group import BALANCES, REMEMBERED, Group, LeastConnections, Random, RoundRobin
from app.balance.server import Server
from app.balance.sticky import Rendezvous
from app.errors import BalanceError
from tests.balance.helpers import RARE, Drawn, chi_square, count, servers

WEIGHTS = st.lists(st.integers(1, 8), min_size=1, max_size=6)
SEEDS = st.integers(0, 2**32)


def in_turn(weights: list[int], seed: int, times: int) -> list[int]:
    fleet = servers(*weights)
    rotation = RoundRobin(fleet, random.Random(seed))
    return [fleet.index(rotation.pick()) for _ in range(times)]


@given(WEIGHTS, SEEDS)
@settings(deadline=None)
def test_every_full_cycle_has_each_server_exactly_its_weight(weights: list[int], seed: int) -> None:
    whole = sum(weights)
    picks = in_turn(weights, seed, 3 * whole)
    for start in range(2 * whole):
        assert Counter(picks[start : start + whole]) == dict(enumerate(weights))


@given(WEIGHTS, SEEDS)
@settings(deadline=None)
def test_turns_are_evenly_interleaved(weights: list[int], seed: int) -> None:
    whole, kinds = sum(weights), len(set(weights))
    picks = in_turn(weights, seed, 3 * whole)
    for server, weight in enumerate(weights):
        turns = [turn for turn, pick in enumerate(picks) if pick == server]
        gaps = [later - sooner for sooner, later in pairwise(turns)]
        assert all(abs(gap - whole / weight) < kinds - 1 + 1e-9 for gap in gaps)


@pytest.mark.parametrize(
    ("weights", "cycle"),
    [((1,), "0"), ((1, 1, 1), "012"), ((3, 1), "0010"), ((5, 1, 1), "0100020"), ((2, 2), "0101")],
)
def test_a_cycle(weights: tuple[int, ...], cycle: str) -> None:
    picks = "".join(map(str, in_turn(list(weights), 7, 2 * len(cycle))))
    assert cycle in picks + picks


@pytest.mark.parametrize("weights", [(1, 1), (1, 9), (2, 3, 5), (4, 4, 1, 1), (6, 10)])
@pytest.mark.parametrize("balance", [RoundRobin, LeastConnections])
def test_every_turn_of_a_cycle_is_as_likely_the_first(
    balance: type[RoundRobin | LeastConnections], weights: tuple[int, ...]
) -> None:
    fleet = servers(*weights)
    firsts = Counter(balance(fleet, Drawn(n)).pick() for n in range(sum(weights)))
    assert firsts == dict(zip(fleet, weights, strict=True))


def test_a_thousand_servers_of_any_weight_keep_their_shares() -> None:
    weights = [1 + n % 40 for n in range(1000)]
    picks = in_turn(weights, 1, sum(weights))
    assert Counter(picks) == dict(enumerate(weights))


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (1, 2, 3, 4), (100, 1), (4, 6, 2)])
def test_chance_respects_the_weights(weights: tuple[int, ...]) -> None:
    fleet = servers(*weights)
    seen = count(Random(fleet, random.Random(1)).pick, 20_000)
    assert chi_square(seen, dict(zip(fleet, weights, strict=True))) < RARE[len(weights) - 1]


def test_the_least_busy_server_is_next() -> None:
    fleet = servers(1, 1, 1)
    for server, busy in zip(fleet, (2, 1, 3), strict=True):
        server.load.in_flight = busy
    assert count(LeastConnections(fleet, random.Random(1)).pick, 5) == {fleet[1]: 5}


def test_a_heavier_server_is_less_busy_with_the_same_load() -> None:
    light, heavy = fleet = servers(2, 5)
    light.load.in_flight, heavy.load.in_flight = 2, 4
    assert LeastConnections(fleet, random.Random(1)).pick() is heavy


@given(WEIGHTS, SEEDS)
@settings(deadline=None)
def test_equally_busy_servers_come_in_turn_by_weight(weights: list[int], seed: int) -> None:
    fleet = servers(*weights)
    for server in fleet:
        server.load.in_flight = 3 * server.weight
    seen = count(LeastConnections(fleet, random.Random(seed)).pick, 2 * sum(weights))
    assert seen == {server: 2 * server.weight for server in fleet}


@given(WEIGHTS, SEEDS, st.integers(1, 5))
@settings(deadline=None)
def test_exchanges_that_stay_open_fill_servers_by_weight(weights: list[int], seed: int, rounds: int) -> None:
    balance = LeastConnections(servers(*weights), random.Random(seed))
    seen: Counter[int] = Counter()
    for _ in range(rounds * sum(weights)):
        server = balance.pick()
        server.load.in_flight += 1
        seen[server.weight] += 1
    assert seen == {w: rounds * w * weights.count(w) for w in weights}


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), min_size=1, max_size=20), SEEDS)
@settings(deadline=None)
def test_nobody_is_less_busy_than_the_one_chosen(loads: list[tuple[int, int]], seed: int) -> None:
    fleet = servers(*(weight for weight, _ in loads))
    for server, (_, in_flight) in zip(fleet, loads, strict=True):
        server.load.in_flight = in_flight
    balance = LeastConnections(fleet, random.Random(seed))
    for _ in range(30):
        least = min(Fraction(server.load.in_flight, server.weight) for server in fleet)
        server = balance.pick()
        assert Fraction(server.load.in_flight, server.weight) == least
        server.load.in_flight += 1


class Watched:
    """An idle Load that counts who looks at it."""

    looks = 0

    @property
    def in_flight(self) -> int:
        self.looks += 1
        return 0


def test_while_servers_are_idle_not_all_are_looked_at() -> None:
    load: Any = Watched()
    fleet = [Server(f"http://stable-{n}", "stable", 1, load) for n in range(100)]
    count(LeastConnections(fleet, random.Random(1)).pick, 50)
    assert load.looks == 50


@pytest.mark.parametrize("idle", [(0, 1), (0, 5), (3, 9), (0, 1, 2), (0, 4, 5, 9)])
def test_idle_servers_among_busy_ones_share_evenly(idle: tuple[int, ...]) -> None:
    fleet = servers(*(1,) * 10)
    for number, server in enumerate(fleet):
        server.load.in_flight = number not in idle
    seen = count(LeastConnections(fleet, random.Random(1)).pick, 120)
    assert set(seen) == {fleet[number] for number in idle}
    assert max(seen.values()) - min(seen.values()) <= 2


def test_a_server_that_was_busy_long_does_not_win_every_tie_afterwards() -> None:
    busy, other = fleet = servers(1, 1)
    balance = LeastConnections(fleet, random.Random(1))
    busy.load.in_flight = 1
    assert count(balance.pick, 50) == {other: 50}
    busy.load.in_flight = 0
    seen = count(balance.pick, 10)
    assert abs(seen[busy] - seen[other]) <= 2


@pytest.mark.parametrize("balance", BALANCES)
def test_every_server_is_reached(balance: str) -> None:
    fleet = servers(*(1 + n % 3 for n in range(300)))
    group, rng = Group(fleet, balance, random.Random(1)), random.Random(2)
    assert set(count(group.pick, 10_000)) == set(fleet)
    assert set(count(lambda: group.place(rng.getrandbits(128)), 10_000)) == set(fleet)


def test_who_is_remembered_is_placed_as_before_and_so_is_who_is_forgotten() -> None:
    fleet, rng = servers(1, 2, 3), random.Random(1)
    group, place = Group(fleet, "round_robin", rng), Rendezvous(fleet).place
    visitors = [rng.getrandbits(128) for _ in range(REMEMBERED + 1000)]
    visits = [*visitors, *visitors[-1000:], *visitors[:1000]]
    assert [group.place(each) for each in visits] == [place(each) for each in visits]


@pytest.mark.parametrize("balance", BALANCES)
def test_an_empty_group_refuses(balance: str) -> None:
    group = Group((), balance, random.Random(1))
    assert not group
    with pytest.raises(BalanceError):
        group.pick()
    with pytest.raises(BalanceError):
        group.place(1)
