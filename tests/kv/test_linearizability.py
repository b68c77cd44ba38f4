"""Eight clients and three keys over HTTP: whatever they were told, one after the other would have been told it too."""

from __future__ import annotations

import pytest

from tests.support.kv_helpers import serving, serving_store
from tests.support.kv_history import Crowd
from tests.support.kv_process import KvProcess
from tests.support.processes import wait_until

ROUNDS, KILLS = 2, 4


def test_undisturbed(make_engine):
    with serving_store(make_engine()) as store, serving(store) as server:
        crowd = Crowd(lambda _: ("127.0.0.1", server.server_port), ["a", "b", "c"])
        with crowd.at_work():
            pass
        crowd.check()
    assert crowd.made >= crowd.goal


@pytest.mark.end_to_end
def test_under_kill_9(tmp_path):
    with KvProcess(tmp_path) as kv:
        address = [kv.address]
        for number in range(ROUNDS):
            crowd = Crowd(lambda _: address[0], [f"{number}/{key}" for key in "abc"], seed=number)
            with crowd.at_work():
                for kill in range(1, KILLS + 1):
                    wait_until(lambda: crowd.made > crowd.goal * kill / (KILLS + 1))  # noqa: B023
                    kv.kill9()
                    address[0] = kv.start().address
            crowd.check()
