"""Where visitors belong, and who moves when something changes."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from itertools import pairwise
from math import sqrt
from typing import Any
from zlib import adler32, crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.sticky import Identity, Rendezvous, digester, fraction, new_visitor, point, threshold
from app.balance.styles import STYLES
from app.config.model import Config, StickyConfig, StickyKey
from tests.balance.helpers import RARE, Request, balancer, chi_square, config, visitor

VISITORS = range(1000)
SPLIT_STYLES = ["ratio", "random", "hash"]
WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=5)
SALTS = [b"", b"salt", b"another salt", b"x" * 64]


def homes(of: Config, seed: int = 0) -> dict[int, str]:
    """The server's URL of each visitor."""
    fleet = balancer(of, seed=seed)
    return {name: fleet.choose(visitor(name)).server.url for name in VISITORS}


def on_canary(ratio: float, salt: str = "", style: str = "ratio") -> set[int]:
    of = config(sticky_sessions=True, ratio=ratio, salt=salt, style=style)
    return {name for name, url in homes(of).items() if "canary" in url}


def is_uniform(place: Callable[[bytes], float], ids: range, ratio: float) -> bool:
    """Whether about as many of the ids as the ratio says are below it: within 3 standard deviations."""
    below = sum(place(b"%d" % each) < ratio for each in ids)
    deviation = sqrt(len(ids) * ratio * (1 - ratio))
    return abs(below - len(ids) * ratio) <= 3 * deviation


SEQUENTIAL = [
    (ids, ratio) for ids in (range(1, 1001), range(1_000_000, 1_001_000)) for ratio in (0.01, 0.05, 0.1, 0.5)
]


@pytest.mark.parametrize("salt", SALTS)
@pytest.mark.parametrize(("ids", "ratio"), SEQUENTIAL)
def test_sequential_ids_keep_the_ratio(ids: range, ratio: float, salt: bytes) -> None:
    assert is_uniform(lambda name: point(name, salt), ids, ratio)


@pytest.mark.parametrize("weak", [crc32, adler32])
def test_a_weak_hash_would_not(weak: Callable[[bytes], int]) -> None:
    assert not all(is_uniform(lambda name: weak(name) / 2**32, ids, ratio) for ids, ratio in SEQUENTIAL)


def test_the_point_is_the_top_of_keyed_blake2b() -> None:
    top = int.from_bytes(blake2b(b"visitor", digest_size=16, key=b"salt").digest()[:8])
    assert point(b"visitor", b"salt") == (top >> 11) / 2**53


@given(st.binary(max_size=200), st.binary(max_size=64))
@settings(deadline=None)
def test_a_point_is_in_the_unit_interval(name: bytes, salt: bytes) -> None:
    assert 0 <= point(name, salt) < 1


@pytest.mark.parametrize("style", SPLIT_STYLES)
def test_visitors_are_monotone_in_the_ratio(style: str) -> None:
    steps = [on_canary(ratio, style=style) for ratio in (0, 0.01, 0.05, 0.2, 0.5, 1)]
    assert all(fewer < more for fewer, more in pairwise(steps))
    assert steps[0] == set()
    assert steps[-1] == set(VISITORS)


def test_who_came_last_goes_home_first() -> None:
    first, then = on_canary(0.05), on_canary(0.2)
    assert on_canary(0.05) == first < then


def test_a_new_salt_draws_a_new_set_and_the_same_salt_keeps_it() -> None:
    assert on_canary(0.1, "one") == on_canary(0.1, "one")
    assert len(on_canary(0.1, "one") & on_canary(0.1, "two")) < 30


@pytest.mark.parametrize("style", STYLES)
def test_all_instances_decide_alike(style: str) -> None:
    of = config((1, 2, 3), (1, 1), sticky_sessions=True, ratio=0.3, style=style, salt="salt")
    assert homes(of, seed=1) == homes(of, seed=2)


@pytest.mark.parametrize("style", STYLES)
@given(stable=WEIGHTS, canary=WEIGHTS, leaver=st.integers(0, 9))
@settings(deadline=None, max_examples=8)
def test_a_server_that_leaves_moves_only_its_own_visitors_and_takes_them_back(
    style: str, stable: list[int], canary: list[int], leaver: int
) -> None:
    whole = {f"stable-{n}": weight for n, weight in enumerate([*stable, 1])}
    gone = f"stable-{leaver % len(whole)}"
    fewer = {name: weight for name, weight in whole.items() if name != gone}
    rest: dict[str, Any] = {"sticky_sessions": True, "style": style, "ratio": 0.3}
    before, after = homes(config(whole, canary, **rest)), homes(config(fewer, canary, **rest))
    assert all(after[name] == url for name, url in before.items() if url != f"http://{gone}")


def test_a_server_keeps_its_visitors_when_its_version_is_promoted() -> None:
    hosts = {"one": 1, "other": 2}
    canary = homes(config((1,), hosts, sticky_sessions=True, ratio=1.0))
    assert homes(config(hosts, (), sticky_sessions=True)) == canary


def test_a_server_that_comes_takes_its_share_evenly() -> None:
    rest: dict[str, Any] = {"sticky_sessions": True, "ratio": 0.0}
    before, after = homes(config((2, 2), **rest)), homes(config((2, 2, 1), **rest))
    moved = Counter(before[name] for name in VISITORS if before[name] != after[name])
    assert {after[name] for name in VISITORS if before[name] != after[name]} == {"http://stable-2"}
    assert chi_square(moved, {"http://stable-0": 1, "http://stable-1": 1}) < RARE[1]


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (1, 1, 1), (5, 3, 1, 1), (1, 2, 3, 4, 5, 100)])
@pytest.mark.parametrize("salt", SALTS)
def test_visitors_are_shared_by_weight(weights: tuple[int, ...], salt: bytes) -> None:
    fleet = balancer(config(weights, ())).servers
    place, digest = Rendezvous(fleet).place, digester(salt)
    seen = Counter(place(digest(b"%d" % name)) for name in range(6000))
    assert chi_square(seen, dict(zip(fleet, weights, strict=True))) < RARE[len(weights) - 1]


def test_the_server_does_not_depend_on_the_point() -> None:
    urls = homes(config((1, 1), (), sticky_sessions=True))
    low = Counter(url for name, url in urls.items() if point(b"%d" % name, b"") < 0.5)
    assert chi_square(low, dict.fromkeys(urls.values(), 1)) < RARE[1]


def test_all_servers_share_the_visitors_when_the_ratio_is_not_used() -> None:
    seen = Counter(homes(config((3,), (1,), style="round_robin", sticky_sessions=True, ratio=0.0)).values())
    assert chi_square(seen, {"http://stable-0": 3, "http://canary-0": 1}) < RARE[1]


KEYED = StickyConfig(key=StickyKey("header", "X-User"))


@pytest.mark.parametrize(
    ("sticky", "request_", "expected"),
    [
        (StickyConfig(), visitor(b"me"), b"me"),
        (StickyConfig(cookie="Who"), visitor(b"me", b"Who"), b"me"),
        (StickyConfig(), visitor(b"x" * 128), b"x" * 128),
        (StickyConfig(), visitor(b"x" * 129), None),
        (StickyConfig(), visitor(b""), None),
        (StickyConfig(), Request(), None),
        (KEYED, Request(headers={b"x-user": b"ada"}, cookies={b"serin": b"me"}), b"ada"),
        (KEYED, Request(headers={b"x-user": b"a" * 500}), b"a" * 500),
        (KEYED, Request(headers={b"x-user": b""}, cookies={b"serin": b"me"}), b"me"),
        (KEYED, visitor(b"me"), b"me"),
        (KEYED, Request(), None),
        (StickyConfig(key=StickyKey("cookie", "login")), visitor(b"ada", b"login"), b"ada"),
    ],
)
def test_who_a_visitor_is(sticky: StickyConfig, request_: Request, expected: bytes | None) -> None:
    assert Identity(sticky).of(request_) == expected


def test_a_new_id_is_short_random_and_safe_in_a_cookie() -> None:
    rng = random.Random(1)
    ids = {new_visitor(rng) for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(each) for each in ids} == {32}
    assert set(b"".join(ids)) <= set(string.hexdigits.encode())


def test_the_cookie() -> None:
    identity = Identity(StickyConfig(cookie="who", ttl=90.5))
    plain = identity.set_cookie(b"me", secure=False)
    assert plain == b"who=me; Path=/; Max-Age=91; HttpOnly; SameSite=Lax"
    assert identity.set_cookie(b"me", secure=True) == plain + b"; Secure"


@pytest.mark.parametrize("ratio", [0.0, 2.0**-53, 0.05, 1 / 3, 0.5, 1 - 2.0**-53, 1.0])
def test_a_digest_is_below_the_threshold_if_its_fraction_is_below_the_ratio(ratio: float) -> None:
    edge = threshold(ratio)
    near = {0, 2**128 - 1} | {edge + step for step in (-(2**75), -1, 0, 1, 2**75)}
    for digest in (each for each in near if 0 <= each < 2**128):
        assert (digest < edge) is (fraction(digest) < ratio)
