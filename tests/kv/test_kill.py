"""`kill -9` at random moments under writers. All hundred rounds of it: `python -m bench.kill`."""

from __future__ import annotations

import pytest

from tests.support.kill9 import Trial

ROUNDS = 5


@pytest.mark.end_to_end
def test_no_acknowledged_write_is_lost_and_none_invented(tmp_path):
    with Trial(tmp_path, keys=1_000) as trial:
        for _ in range(ROUNDS):
            trial.round()
    assert trial.acknowledged >= ROUNDS * 50
