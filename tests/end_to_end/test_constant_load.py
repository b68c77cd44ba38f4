"""Two thousand changes of the config under a constant load: nothing is lost, whatever front serves."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import cycle

import pytest

from tests.support.load import Load
from tests.support.processes import free_port
from tests.support.stack import FRONTS, WORKERS, Stack

pytestmark = pytest.mark.end_to_end

CHANGES = 2000
STYLES = ("ratio", "random", "hash", "round_robin", "least_connections")


@pytest.mark.parametrize("front", FRONTS)
def test_no_change_loses_a_request(front, tmp_path):
    with Stack(tmp_path, front=front, store="memory://") as stack, ExitStack() as more:
        second = {version: second_server(stack, more, version) for version in ("stable", "canary")}
        with Load(stack.address, clients=64, pause=0.1) as load:
            make_changes(stack, second, in_step=front == "fast_lane")
            load.wait_requests(64)
        in_force = stack.status()["config"]["changes"]
        print(f"{front}: {load.result.requests} requests, {in_force} configs put in force")
        assert load.result.failures == []
        assert load.result.statuses == {"200": load.result.requests}
        assert "Traceback" not in stack.web.output()
        assert in_force > (CHANGES / 4 if front == "fast_lane" else CHANGES / 20)

        last = {"style": "ratio", "ratio": 0.25, "sticky_sessions": False, **stack.plain_servers()}
        stack.wait_in_force(stack.patch_config(last)["etag"])
        assert_shares(stack, 0.25, WORKERS[front])


def make_changes(stack, second, *, in_step):
    """As fast as they can be written; `in_step`: every fourth is in force before the next is made.

    Whoever is told of a change reads the newest document: not each of them is ever in force.
    """
    for number, change in enumerate(changes(stack, second)):
        written = stack.patch_config(change)
        assert written["changed"]
        if in_step and number % 4 == 3:
            stack.wait_in_force(written["etag"])


def second_server(stack, more, version):
    """Starts one more server of a version; its entry in the config document."""
    port = free_port()
    more.enter_context(stack.sample(version, port))
    return {"url": f"http://127.0.0.1:{port}"}


def changes(stack, second):
    """Each differs from what is there, in one of four ways in turn."""
    servers = cycle(fleets(stack.plain_servers(), second))
    kinds = (
        lambda number: {"style": STYLES[number // 4 % len(STYLES)]},
        lambda number: {"ratio": (number // 4 % 10 + 1) / 20},
        lambda number: {"sticky_sessions": number // 4 % 2 == 1},
        lambda _number: next(servers),
    )
    stack.patch_config({"style": STYLES[-1], "ratio": 0, "sticky_sessions": True})
    return (kinds[number % 4](number) for number in range(CHANGES))


def fleets(plain, second):
    """A server joins, another one leaves and comes back; the canary goes altogether and returns."""
    (stable,), (canary,) = plain["stable"]["servers"], plain["canary"]["servers"]
    others = second["stable"], second["canary"]
    for stables, canaries in (
        ([stable, others[0]], [canary]),
        ([others[0]], [canary, others[1]]),
        ([others[0], stable], [others[1]]),
        ([stable], []),
        ([{**stable, "weight": 3}, others[0]], [canary]),
        ([stable], [others[1], canary]),
    ):
        yield {"stable": {"servers": stables}, "canary": {"servers": canaries}}


def assert_shares(stack, ratio, workers):
    """The canary's share is exact to one request in each worker."""
    with Load(stack.address, clients=8) as load:
        load.wait_requests(2000)
    result = load.result
    assert result.failures == []
    assert abs(result.versions["canary"] - ratio * result.requests) <= workers
