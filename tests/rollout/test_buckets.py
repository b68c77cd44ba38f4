from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.sticky import point
from app.rollout.buckets import BUCKETS, SLICES, Buckets, canaries

SETS = st.sets(st.integers(0, BUCKETS - 1), max_size=40)


def of(members: set[int]) -> Buckets:
    buckets = Buckets()
    for member in members:
        buckets.add(member)
    return buckets


@given(SETS, SETS, st.integers(0, BUCKETS))
@settings(deadline=None)
def test_it_is_a_set(one: set[int], other: set[int], end: int) -> None:
    assert all(member in of(one) for member in one)
    assert not any(member in of(one) for member in other - one)
    below = sum(member < end for member in one - other)
    assert of(one).count(end, of(other)) == (below, len(one - other) - below)


@given(SETS, SETS)
@settings(deadline=None, max_examples=20)
def test_all_slices_make_the_whole(one: set[int], other: set[int]) -> None:
    joined = of(other)
    for number in range(SLICES):
        joined.join(number, of(one).slice(number))
    assert joined.dump() == of(one | other).dump()


@given(SETS)
@settings(deadline=None, max_examples=20)
def test_a_dump_loads(members: set[int]) -> None:
    assert Buckets.load(of(members).dump()).count(0, Buckets()) == (0, len(members))


@pytest.mark.parametrize("text", ["", "AAAA", "!", Buckets().dump()[:-4], "eJwDAAAAAAE="])
def test_what_is_no_dump(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Buckets.load(text)


def test_an_empty_set_is_short() -> None:
    assert len(Buckets().dump()) < 1000


def test_a_slice_is_a_fair_sample() -> None:
    """Of the canary's buckets as of stable's, although these are the first and those the last."""
    every = Buckets()
    every.join(3, b"\xff" * (BUCKETS // 8 // SLICES))
    end = canaries(0.01)
    below, above = every.count(end, Buckets())
    assert below / end == pytest.approx(1 / SLICES, rel=0.02)
    assert above / (BUCKETS - end) == pytest.approx(1 / SLICES, rel=0.001)


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_the_canarys_buckets_are_those_of_its_visitors(ratio: float) -> None:
    for visitor in range(300):
        place = point(b"%d" % visitor, b"salt")
        assert (place < ratio) == (int(place * BUCKETS) < canaries(ratio))
