"""What probes make of a server, and how it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.balance.standing import WHOLE, Standing, probed, tenths


def after(probes: str, rise: int = 2, fall: int = 3) -> bool:
    """Is the server up after these probes? "+" is a success."""
    standing: Standing | None = None
    for probe in probes:
        standing = probed(standing, probe == "+", rise, fall)
    assert standing is not None
    return not standing.down


@pytest.mark.parametrize(
    ("probes", "up"),
    [
        ("+", True),
        ("-", False),
        ("+--", True),
        ("+---", False),
        ("+--+--", True),
        ("-+", False),
        ("-++", True),
        ("-+-+", False),
        ("+---+", False),
        ("+---++--", True),
        ("+---++---", False),
    ],
)
def test_only_several_probes_in_a_row_change_a_mind(probes: str, up: bool) -> None:
    assert after(probes) is up


@given(st.text("+-", min_size=1), st.integers(1, 4), st.integers(1, 4))
def test_enough_probes_of_one_kind_decide_whatever_was_before(probes: str, rise: int, fall: int) -> None:
    assert after(probes + "+" * rise, rise, fall)
    assert not after(probes + "-" * fall, rise, fall)


@given(st.floats(0, 100), st.floats(0, 100))
def test_the_share_only_grows_and_is_whole_in_the_end(one: float, other: float) -> None:
    sooner, later = sorted((one, other))
    assert 1 <= tenths(sooner, 50.0) <= tenths(later, 50.0) <= WHOLE
    assert (tenths(later, 50.0) == WHOLE) == (later >= 50.0)


def test_the_share_grows_evenly() -> None:
    assert [tenths(seconds, 9.0) for seconds in range(10)] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_without_a_slow_start_it_is_whole_at_once() -> None:
    assert tenths(0.0, None) == WHOLE
