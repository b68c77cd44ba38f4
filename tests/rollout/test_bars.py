from __future__ import annotations

import pytest

from app.rollout.bars import LEAST, bars

BOUNDS = (0.1, 0.2, 0.4)


def test_they_are_the_quantiles() -> None:
    assert bars((500, 400, 95, 5), BOUNDS) == pytest.approx((0.1, 0.2, 0.4 - 0.2 * 5 / 95), abs=1e-3)


@pytest.mark.parametrize("before", [(), (0.1, 0.2, 0.3)])
def test_few_responses_make_no_bar(before: tuple[float, ...]) -> None:
    assert bars((LEAST - 1, 0, 0, 0), BOUNDS, before) == before


def test_they_come_in_order_even_when_all_are_beyond_the_last_bound() -> None:
    assert bars((0, 0, 0, 500), BOUNDS) == (0.4, 0.4, 0.4)
