"""What the benchmark of the hub's lag makes of the server's histogram."""

from __future__ import annotations

import shutil

import pytest

from bench.lag import COLUMNS, at_most, run

COUNTS = {0.001: 50.0, 0.01: 99.0, 0.1: 99.0, float("inf"): 100.0}


@pytest.mark.parametrize(
    ("share", "told"), [(0.5, "≤ 1"), (0.51, "≤ 10"), (0.99, "≤ 10"), (1.0, "≤ inf")], ids=str
)
def test_the_bound_that_a_share_is_within(share, told):
    assert at_most(COUNTS, share) == told


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_a_short_run():
    assert len(run(1, 10)) == len(COLUMNS)
