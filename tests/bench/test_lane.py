"""The measurement of the fast lane by itself serves what it says, and counts it."""

from __future__ import annotations

import pytest

from bench.lane import REQUESTS, gateway, lane, microseconds


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_is_answered(name: str) -> None:
    through = gateway()
    lane(through, REQUESTS[name], 7).handle()
    stats = through.stats
    assert (stats.requests, sum(version.answered[2] for version in stats.versions.values())) == (7, 7)
    assert (stats.refused, through.lanes) == ({}, set())


def test_it_takes_some_time() -> None:
    assert 0 < microseconds("small", repetitions=1, times=50) < 1e6
