"""The five styles, without visitors who stick."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain, combinations, pairwise
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.balancer import Balancer
from app.balance.group import Group
from app.balance.server import Load, Server
from app.balance.styles import STYLES, Choices, Share
from app.errors import BalanceError
from tests.balance.helpers import (
    ANYONE,
    RARE,
    Drawn,
    Request,
    balancer,
    chi_square,
    config,
    take_out,
    visitor,
)

RATIOS = st.floats(0, 1) | st.decimals(0, 1, places=3).map(float)
SEEDS = st.integers(0, 2**32)
STABLE, CANARY = (1, 2, 3), (1, 3)
URLS = [f"http://stable-{n}" for n in range(3)] + [f"http://canary-{n}" for n in range(2)]
WEIGHTS = dict(zip(URLS, STABLE + CANARY, strict=True))
SUBSETS = list(chain.from_iterable(combinations(URLS, size) for size in range(len(URLS) + 1)))


def shares(fleet: Balancer, times: int, request: Request = ANYONE) -> Counter[str]:
    """How often each server was chosen; "nobody" when none was."""
    seen: Counter[str] = Counter()
    for _ in range(times):
        try:
            seen[fleet.choose(request).server.url] += 1
        except BalanceError:
            seen["nobody"] += 1
    return seen


def canaries(fleet: Balancer, times: int) -> list[bool]:
    return [fleet.choose(ANYONE).server.version == "canary" for _ in range(times)]


def choices_of(ratio: float) -> Choices:
    """One server a version, and a canary whose next request is as far away as can be."""
    stable, canary = (
        Group((Server(f"http://{name}", name, 1, Load()),), "round_robin", random.Random(0))
        for name in ("stable", "canary")
    )
    return Choices(stable, canary, lambda: stable, lambda _: 0, ratio, Share(Drawn(0)), random.Random(0))


def split(total: int, up: list[str]) -> dict[str, float]:
    """`total` requests over these servers, exactly by weight."""
    whole = sum(WEIGHTS[url] for url in up)
    return {url: total * WEIGHTS[url] / whole for url in up}


@given(RATIOS, SEEDS)
@settings(deadline=None)
def test_the_ratio_holds_within_one_after_every_request(ratio: float, seed: int) -> None:
    chosen = 0
    for n, canary in enumerate(canaries(balancer(config(ratio=ratio), seed=seed), 400), 1):
        chosen += canary
        assert abs(chosen - n * ratio) <= 1


@given(st.floats(0.01, 1), SEEDS)
@settings(deadline=None)
def test_the_ratio_is_spread_evenly(ratio: float, seed: int) -> None:
    turns = [n for n, canary in enumerate(canaries(balancer(config(ratio=ratio), seed=seed), 500)) if canary]
    gaps = {later - sooner for sooner, later in pairwise(turns)}
    assert gaps <= {floor(1 / ratio), ceil(1 / ratio)}


def test_the_ratio_does_not_drift() -> None:
    fleet = balancer(config(ratio=0.1))
    assert {sum(canaries(fleet, 2000)) for _ in range(10)} == {200}


def test_instances_do_not_start_in_step() -> None:
    firsts = Counter(canaries(balancer(config(ratio=0.25), seed=seed), 1)[0] for seed in range(400))
    assert chi_square(firsts, {True: 1, False: 3}) < RARE[1]


@pytest.mark.parametrize(("ratio", "expected"), [(0, 0), (1, 300), (0.0, 0), (1.0, 300), (1e-9, 0)])
def test_the_ends_of_the_ratio(ratio: float, expected: int) -> None:
    assert sum(canaries(balancer(config(ratio=ratio)), 300)) == expected


def test_the_ratio_is_the_decimal_that_was_written() -> None:
    choices = choices_of(0.3)
    assert [STYLES["ratio"](choices).pick(ANYONE).version for _ in range(10)].count("canary") == 3


def test_a_ratio_of_one_is_everything_from_the_first_request_on() -> None:
    choices = choices_of(1.0)
    assert STYLES["ratio"](choices).pick(ANYONE).version == "canary"


@pytest.mark.parametrize("style", ["ratio", "random", "hash"])
def test_a_ratio_of_nothing_recalls_even_the_visitor_at_zero(style: str) -> None:
    choices = choices_of(0.0)
    assert STYLES[style](choices).place(0).version == "stable"


def test_chance_keeps_the_ratio() -> None:
    seen = Counter(canaries(balancer(config(style="random", ratio=0.2)), 20_000))
    assert chi_square(seen, {True: 2, False: 8}) < RARE[1]


@pytest.mark.parametrize("down", SUBSETS)
def test_ratio_shares_are_exact_whatever_is_down(down: tuple[str, ...]) -> None:
    fleet = balancer(config(STABLE, CANARY, ratio=0.25))
    take_out(fleet, *down)
    stable, canary = ([u for u in URLS if u not in down and name in u] for name in ("stable", "canary"))
    rest = split(180 if canary else 240, stable) if stable else {"nobody": 180 if canary else 240}
    assert shares(fleet, 240) == rest | (split(60, canary) if canary else {})


@pytest.mark.parametrize("style", ["round_robin", "least_connections"])
@pytest.mark.parametrize("down", SUBSETS)
def test_shares_of_all_servers_are_exact_whatever_is_down(style: str, down: tuple[str, ...]) -> None:
    fleet = balancer(config(STABLE, CANARY, style=style, ratio=0.25))
    take_out(fleet, *down)
    up = [url for url in URLS if url not in down]
    total = sum(WEIGHTS[url] for url in up) * 6 or 6
    assert shares(fleet, total) == (split(total, up) if up else {"nobody": 6})


@pytest.mark.parametrize("style", ["random", "hash"])
@pytest.mark.parametrize("down", SUBSETS)
def test_nothing_goes_to_a_server_that_is_down(style: str, down: tuple[str, ...]) -> None:
    fleet = balancer(config(STABLE, CANARY, balance="random", style=style, ratio=0.5))
    take_out(fleet, *down)
    seen = sum((shares(fleet, 1, visitor(n)) for n in range(200)), Counter())
    up = {url for url in URLS if url not in down}
    stable_up = any("stable" in url for url in up)
    assert set(seen) == (up if stable_up else up | {"nobody"})


@pytest.mark.parametrize("style", STYLES)
def test_weight_zero_takes_nothing(style: str) -> None:
    fleet = balancer(config((0, 1), (0,), style=style, ratio=0.5))
    assert set(sum((shares(fleet, 1, visitor(n)) for n in range(50)), Counter())) == {"http://stable-1"}


@pytest.mark.parametrize("style", STYLES)
def test_without_any_server_nobody_is_chosen(style: str) -> None:
    fleet = balancer(config((), (), style=style, ratio=0.5))
    with pytest.raises(BalanceError):
        fleet.choose(ANYONE)


def test_least_connections_looks_at_both_versions() -> None:
    fleet = balancer(config((1, 1), (4,), style="least_connections"))
    for server, busy in zip(fleet.servers, (2, 3, 7), strict=True):
        server.load.in_flight = busy
    assert shares(fleet, 5) == {"http://canary-0": 5}


def test_balance_inside_a_version_may_be_the_least_busy() -> None:
    fleet = balancer(config((1, 1), (), balance="least_connections"))
    fleet.servers[0].load.in_flight = 1
    assert shares(fleet, 5) == {"http://stable-1": 5}


def test_hash_is_reproducible_and_sets_no_cookie() -> None:
    one, other = (balancer(config(STABLE, CANARY, style="hash", ratio=0.5), seed=seed) for seed in (1, 2))
    for n in range(200):
        request = Request(client=b"192.0.2.%d" % n)
        choice = one.choose(request)
        assert (choice.new_visitor, choice.how) == (None, "style")
        assert choice.server.url == other.choose(request).server.url == one.choose(request).server.url


def test_hash_tells_strangers_apart_by_address() -> None:
    fleet = balancer(config(STABLE, CANARY, style="hash", ratio=0.5))
    strangers = (Request(client=b"192.0.2.%d" % n) for n in range(200))
    assert {fleet.choose(stranger).server.url for stranger in strangers} == set(URLS)


def test_hash_knows_a_visitor_by_cookie_before_address() -> None:
    fleet = balancer(config(STABLE, CANARY, style="hash", ratio=0.5))
    requests = (Request(client=b"192.0.2.%d" % n, cookies={b"serin": b"me"}) for n in range(50))
    assert len({fleet.choose(request).server for request in requests}) == 1
