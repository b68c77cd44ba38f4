"""Errors and statuses in the words of the config document."""

from __future__ import annotations

import pytest

from app.balance.failure import Failure, expanded, failure
from app.errors import UpstreamError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamError("refused", sent=False), Failure("connect", sent=False)),
        (UpstreamError("connect_timeout", 504, sent=False), Failure("connect", sent=False)),
        (UpstreamError("timeout", 504), Failure("timeout")),
        (UpstreamError("closed"), Failure("reset")),
        (UpstreamError("bad_status_line"), Failure("reset")),
    ],
)
def test_the_kind_of_an_error(error: UpstreamError, expected: Failure) -> None:
    assert failure(error) == expected


def test_a_class_stands_for_its_hundred_statuses() -> None:
    assert expanded(("connect", 404, "5xx")) == {"connect", 404, *range(500, 600)}
    assert expanded(()) == frozenset()
