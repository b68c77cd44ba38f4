"""Many clients at once, idle or with large bodies: what they cost in memory stays small."""

from __future__ import annotations

import pytest

from tests.support.crowd import Crowd
from tests.support.memory import forget_peak, peak, resident
from tests.support.stack import Stack
from tests.support.transfers import DIRECTIONS, MIB, Origin, Transfers

pytestmark = pytest.mark.end_to_end

IDLE = 2000


def few_files(command):
    """The command under a soft limit of 256 open files."""
    return ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh", *command]


def test_idle_clients_are_cheap_and_may_be_more_than_the_soft_limit_of_files(tmp_path):
    with Stack(tmp_path, config={"ratio": 0}, start=("stable", "kv")) as stack:
        stack.web.command = few_files(stack.web.command)
        stack.web.start()
        assert stack.version() == "stable"
        before = resident(stack.web.pid)
        with Crowd(stack.address, "idle", IDLE) as crowd:
            crowd.wait_arrived()
            each = (resident(stack.web.pid) - before) / IDLE
            assert stack.version() == "stable"
        assert crowd.last == {"arrived": IDLE, "gone": 0, "statuses": {"200": IDLE}}
    print(f"{each:,.0f} bytes for an idle client")
    assert each <= 16 * 1024


@pytest.mark.parametrize("front", ["worker", "stock"])
def test_so_they_may_under_gunicorn(front, tmp_path):
    with Stack(tmp_path, front=front, config={"ratio": 0}, start=("stable", "kv")) as stack:
        stack.web.command = few_files(stack.web.command)
        stack.web.start()
        with Crowd(stack.address, "idle", 1000) as crowd:
            crowd.wait_arrived()
        assert crowd.last == {"arrived": 1000, "gone": 0, "statuses": {"200": 1000}}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_slow_receiver_is_waited_for_and_nothing_piles_up(direction, tmp_path):
    """20 bodies of 64 MiB; the receivers are slow for a second while the senders could send it all."""
    count, size = 20, 64 * MIB
    with Origin() as origin:
        origin.wait_ready()
        servers = {"stable": {"servers": [{"url": origin.url}]}}
        with Stack(tmp_path, config={"ratio": 0, **servers}, start=("kv", "web")) as stack:
            before = forget_peak(stack.web.pid)
            with Transfers(stack.address, direction, count, size) as transfers:
                transfers.wait_ended()
            growth = peak(stack.web.pid) - before
    assert transfers.last == {"ended": count, "bytes": count * size, "failures": []}
    print(f"{growth / MIB:.1f} MiB more for {count} times {direction}")
    assert growth < 16 * MIB
