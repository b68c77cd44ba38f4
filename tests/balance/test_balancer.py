"""The order in which a request's server is decided, and what goes on when the config changes."""

from __future__ import annotations

import random
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.balance.balancer import Balancer
from app.balance.server import Load, Server
from app.balance.styles import STYLES
from app.config.model import Config, Override
from app.errors import BalanceError
from tests.balance.helpers import (
    ANYONE,
    RARE,
    Loads,
    Request,
    balancer,
    chi_square,
    config,
    take_out,
    visitor,
)

TO_CANARY = (Override("header", "X-Canary", None, "canary"),)
ASKING = Request(headers={b"x-canary": b"1"})


def reloads(configs: list[Config], requests: int = 1) -> Counter[str]:
    """How often each server was chosen when each config in turn served this many requests."""
    loads, rng, seen = Loads(), random.Random(1), Counter[str]()
    fleet: Balancer | None = None
    for each in configs:
        fleet = Balancer(each, loads.__getitem__, rng, fleet)
        seen.update(fleet.choose(ANYONE).server.url for _ in range(requests))
    return seen


def versions(seen: Counter[str]) -> Counter[str]:
    return sum((Counter({url[7:13]: times}) for url, times in seen.items()), Counter())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sticky", [True, False])
def test_an_override_beats_style_and_stickiness_and_sets_no_cookie(style: str, sticky: bool) -> None:
    fleet = balancer(config(style=style, ratio=0.0, sticky_sessions=sticky, overrides=TO_CANARY))
    choice = fleet.choose(ASKING)
    assert (choice.server.version, choice.new_visitor, choice.how) == ("canary", None, "override")


def test_an_override_to_a_version_that_is_down_is_not_heard() -> None:
    fleet = balancer(config(ratio=0.5, overrides=TO_CANARY))
    take_out(fleet, "http://canary-0")
    choice = fleet.choose(ASKING)
    assert (choice.server.version, choice.how) == ("stable", "style")


def test_an_overridden_visitor_with_an_id_keeps_a_server() -> None:
    fleet = balancer(config((1,), (1, 1, 1), sticky_sessions=True, overrides=TO_CANARY))
    known = replace(ASKING, cookies={b"serin": b"me"})
    assert len({fleet.choose(known).server for _ in range(30)}) == 1
    assert len({fleet.choose(ASKING).server for _ in range(30)}) == 3


def test_requests_without_an_override_are_chosen_by_style() -> None:
    assert balancer(config(overrides=TO_CANARY)).choose(ANYONE).how == "style"


def test_a_new_visitor_gets_an_id_and_comes_back_to_the_same_server() -> None:
    fleet = balancer(config((1, 1, 1), (1, 1, 1), sticky_sessions=True, ratio=0.5))
    for _ in range(100):
        first = fleet.choose(ANYONE)
        assert first.how == "sticky"
        assert first.new_visitor is not None
        assert fleet.choose(visitor(first.new_visitor)) == first._replace(new_visitor=None)


def test_new_visitors_keep_the_ratio() -> None:
    fleet = balancer(config(sticky_sessions=True, ratio=0.2))
    seen = Counter(fleet.choose(ANYONE).server.version for _ in range(5000))
    assert chi_square(seen, {"stable": 8, "canary": 2}) < RARE[1]


def test_visitors_of_a_server_that_is_down_are_home_again_when_it_is_up() -> None:
    fleet = balancer(config((1, 1, 1), (1, 1), sticky_sessions=True, ratio=0.5))
    before = {name: fleet.choose(visitor(name)).server for name in range(300)}
    take_out(fleet, "http://stable-0", "http://canary-1")
    away = {name: fleet.choose(visitor(name)).server for name in before}
    take_out(fleet)
    assert all(
        away[name] is server
        for name, server in before.items()
        if server.url[-8:] not in ("stable-0", "canary-1")
    )
    assert {name: fleet.choose(visitor(name)).server for name in before} == before


def test_the_canarys_visitors_go_to_stable_while_it_is_down() -> None:
    fleet = balancer(config(sticky_sessions=True, ratio=1.0))
    take_out(fleet, "http://canary-0")
    assert fleet.choose(visitor("me")).server.version == "stable"


def test_a_share_missed_while_the_canary_was_down_is_not_made_up_for() -> None:
    fleet = balancer(config(ratio=0.1))
    take_out(fleet, "http://canary-0")
    assert {fleet.choose(ANYONE).server.version for _ in range(95)} == {"stable"}
    take_out(fleet)
    assert sum(fleet.choose(ANYONE).server.version == "canary" for _ in range(100)) in (9, 10, 11)


@pytest.mark.parametrize("requests", [1, 3])
def test_unrelated_changes_leave_the_share_exact(requests: int) -> None:
    seen = versions(reloads([config(ratio=0.05, update_rate=1.0 + n) for n in range(2000)], requests))
    assert abs(seen["canary"] - 100 * requests) <= 1


def test_the_share_is_exact_over_changes_of_the_ratio_and_the_style() -> None:
    ratios = [0.05, 0.2, 0.5, 0.001] * 500
    changed = [config(ratio=ratio) for ratio in ratios]
    assert abs(versions(reloads(changed))["canary"] - sum(ratios)) <= 1


def test_a_share_goes_on_after_another_style() -> None:
    ours, other, canary = config(ratio=0.1), config(style="round_robin"), 0
    fleet = balancer(ours)
    for _ in range(200):
        fleet = balancer(ours, previous=balancer(other, previous=fleet))
        canary += fleet.choose(ANYONE).server.version == "canary"
    assert abs(canary - 20) <= 1


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_unrelated_changes_leave_rotations_exact(balance: str) -> None:
    seen = reloads([config((1, 2, 3), (), balance, update_rate=1.0 + n) for n in range(600)])
    assert seen == {"http://stable-0": 100, "http://stable-1": 200, "http://stable-2": 300}


@pytest.mark.parametrize("style", ["ratio", "round_robin", "least_connections"])
def test_a_change_of_servers_before_each_request_favours_no_server(style: str) -> None:
    changing = [config((1, 2, 3), (0, n % 2), style=style) for n in range(4000)]
    seen = reloads(changing)
    weights = {"http://stable-0": 1, "http://stable-1": 2, "http://stable-2": 3}
    assert chi_square(Counter({url: seen[url] for url in weights}), weights) < RARE[2]


def test_a_server_that_flaps_favours_no_other() -> None:
    fleet, seen = balancer(config((1, 1, 1, 1), ())), Counter[str]()
    for n in range(2000):
        take_out(fleet, *["http://stable-3"] * (n % 2))
        seen[fleet.choose(ANYONE).server.url] += 1
    del seen["http://stable-3"]
    assert chi_square(seen, {f"http://stable-{n}": 1 for n in range(3)}) < RARE[2]


def test_refresh_leaves_the_rotations_it_does_not_touch() -> None:
    fleet, seen = balancer(config((1, 1, 1), (1,))), Counter[str]()
    for n in range(300):
        take_out(fleet, *["http://canary-0"] * (n % 2))
        seen[fleet.choose(ANYONE).server.url] += 1
    assert seen == {f"http://stable-{n}": 100 for n in range(3)}


def test_a_new_balance_holds_from_the_next_request() -> None:
    loads = Loads()
    before = balancer(config((1, 1), balance="random"), loads)
    after = balancer(config((1, 1)), loads, previous=before)
    assert set(Counter(after.choose(ANYONE).server.url for _ in range(100)).values()) == {50}


def test_loads_outlive_the_config() -> None:
    loads = Loads()
    one = balancer(config((1, 1)), loads)
    one.servers[0].load.in_flight = 7
    other = balancer(config((5, 1)), loads, previous=one)
    assert other.servers[0].weight == 5
    assert other.servers[0].load is one.servers[0].load


def test_a_load_that_was_forgotten_is_not_kept_alive_by_the_rotation() -> None:
    one, fresh = balancer(config()), Loads()
    other = balancer(config(), fresh, previous=one)
    assert other.choose(ANYONE).server.load is fresh["http://stable-0"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sticky", [True, False])
def test_a_server_that_is_ejected_or_drains_is_not_chosen(style: str, sticky: bool) -> None:
    of = config((1, 1, 1), (), style=style, sticky_sessions=sticky)
    drained = replace(of.stable.servers[0], drain=True)
    of = replace(of, stable=replace(of.stable, servers=(drained, *of.stable.servers[1:])))
    fleet = balancer(of)
    fleet.servers[1].load.ejected = True
    fleet.refresh()
    assert {fleet.choose(visitor(n)).server.url for n in range(100)} == {"http://stable-2"}


@pytest.mark.parametrize("style", STYLES)
def test_when_all_that_are_up_are_ejected_they_all_serve(style: str) -> None:
    fleet = balancer(config((1, 1, 1), (), style=style))
    take_out(fleet, "http://stable-0")
    for server in fleet.servers:
        server.load.ejected = True
    fleet.refresh()
    assert {fleet.choose(visitor(n)).server.url for n in range(100)} == {"http://stable-1", "http://stable-2"}
    assert fleet.out == ()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sticky", [True, False])
def test_a_server_that_starts_slowly_has_its_tenths(style: str, sticky: bool) -> None:
    fleet = balancer(config((2, 2, 2), (), style=style, sticky_sessions=sticky))
    fleet.servers[0].load.tenths = 4
    fleet.refresh()
    seen = Counter(served(fleet, n) for n in range(6000))
    assert chi_square(seen, {"http://stable-0": 4, "http://stable-1": 10, "http://stable-2": 10}) < RARE[2]
    for server in fleet.servers:
        server.load.tenths, server.load.in_flight = 10, 0
    fleet.refresh()
    assert {fleet.choose(visitor(n)).server for n in range(100)} == set(fleet.servers)


def served(fleet: Balancer, number: int) -> str:
    """Each request is another visitor's, and stays under way as long as many others."""
    server = fleet.choose(visitor(number)).server
    server.load.in_flight += 1
    return server.url


def test_servers_that_come_back_together_share_evenly() -> None:
    fleet = balancer(config((1, 1), ()))
    for server in fleet.servers:
        server.load.tenths = 1
    fleet.refresh()
    seen = Counter(fleet.choose(ANYONE).server.url for _ in range(100))
    assert set(seen.values()) == {50}


@pytest.mark.parametrize(
    ("down", "out"),
    [
        ((), ()),
        (("http://canary-0",), ("canary",)),
        (("http://stable-0",), ("stable",)),
        (("http://stable-0", "http://canary-0"), ("stable", "canary")),
    ],
)
def test_versions_without_an_available_server_are_told(down: tuple[str, ...], out: tuple[str, ...]) -> None:
    fleet = balancer(config())
    take_out(fleet, *down)
    assert fleet.out == out


def test_a_version_that_has_no_server_is_not_out() -> None:
    assert balancer(config((1,), (0,))).out == ()


@pytest.mark.parametrize("style", ["ratio", "random", "hash"])
@pytest.mark.parametrize("sticky", [True, False])
def test_stables_requests_go_to_the_canary_only_if_the_document_says_so(style: str, sticky: bool) -> None:
    for failover in ("none", "canary"):
        fleet = balancer(config(style=style, sticky_sessions=sticky, failover=failover, ratio=0.0))
        take_out(fleet, "http://stable-0")
        if failover == "canary":
            assert fleet.choose(visitor(1)).server.version == "canary"
        else:
            with pytest.raises(BalanceError):
                fleet.choose(visitor(1))


def test_another_server_is_none_of_those_tried() -> None:
    fleet = balancer(config((1, 3, 6), ()))
    first = fleet.servers[0].load
    seen = Counter(url(fleet.another("stable", ANYONE, None, [first])) for _ in range(3000))
    assert chi_square(seen, {"http://stable-1": 1, "http://stable-2": 2}) < RARE[1]
    assert fleet.another("stable", ANYONE, None, [server.load for server in fleet.servers]) is None
    assert fleet.another("canary", ANYONE, None, []) is None


@pytest.mark.parametrize("new", [True, False])
def test_who_sticks_has_another_server_of_its_own(new: bool) -> None:
    fleet = balancer(config((1, 1, 1), (), sticky_sessions=True))
    for number in range(50):
        name = str(number).encode()
        asks, told = (ANYONE, name) if new else (visitor(name), None)
        first = fleet.choose(visitor(name)).server
        again = {url(fleet.another("stable", asks, told, [first.load])) for _ in range(10)}
        take_out(fleet, first.url)
        assert again == {fleet.choose(visitor(name)).server.url}
        take_out(fleet)


def test_who_is_told_apart_by_hash_has_another_server_of_its_own() -> None:
    fleet = balancer(config((1, 1, 1), (), style="hash"))
    first = fleet.choose(ANYONE).server
    assert len({url(fleet.another("stable", ANYONE, None, [first.load])) for _ in range(20)}) == 1


def url(server: Server | None) -> str:
    assert server
    return server.url


class WatchedBalancer(Balancer):
    __slots__ = ("__weakref__",)


class WatchedLoad(Load):
    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("style", STYLES)
def test_the_previous_balancer_and_its_servers_are_let_go(style: str) -> None:
    one = WatchedBalancer(config(style=style), lambda _url: WatchedLoad(), random.Random(1))
    gone: list[weakref.ref[Any]] = [weakref.ref(one), *(weakref.ref(server.load) for server in one.servers)]
    two = balancer(config(), previous=one)
    del one
    assert [ref() for ref in gone] == [None] * 3
    assert two.choose(ANYONE)


def test_choosing_asks_nothing_about_availability() -> None:
    fleet = balancer(config((1, 1), ()))
    fleet.servers[0].load.down = True
    assert len({fleet.choose(ANYONE).server for _ in range(2)}) == 2
    fleet.refresh()
    assert len({fleet.choose(ANYONE).server for _ in range(4)}) == 1
