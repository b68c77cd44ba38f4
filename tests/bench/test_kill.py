"""The hundred kills, in small."""

from __future__ import annotations

import pytest

from bench.kill import COLUMNS, flags, run
from tests.support.kill9 import WRITERS


@pytest.mark.end_to_end
def test_a_round_gives_a_row() -> None:
    row = run(1, WRITERS)
    assert len(row) == len(COLUMNS)
    assert row[:2] == ("1", str(WRITERS))


def test_every_writer_needs_a_key() -> None:
    assert (flags([]).rounds, flags([]).keys) == (100, 10_000)
    with pytest.raises(SystemExit):
        flags(["--keys", str(WRITERS - 1)])
