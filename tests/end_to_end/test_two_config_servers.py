"""Two config servers over one etcd: either may be killed at any time, and the proxies go on hearing of changes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import cycle

import pytest

from tests.support.etcd import NEEDS_ETCD, etcd
from tests.support.kv_process import KvProcess
from tests.support.load import Load
from tests.support.processes import fetch, free_port
from tests.support.stack import KEY, Stack

pytestmark = [NEEDS_ETCD, pytest.mark.end_to_end]

# Seconds from a write to its being in force, in case the proxy has to find another config server first.
IN_FORCE = 5.0


@pytest.fixture
def servers(tmp_path):
    """Both, not started; they share an etcd."""
    folders = [tmp_path / name for name in ("one", "other")]
    with etcd() as cluster:
        made = []
        for folder in folders:
            folder.mkdir()
            made.append(KvProcess(folder, KV_STORE=f"{cluster.store}/e2e", KV_PORT=str(free_port())))
        try:
            yield made
        finally:
            for server in made:
                server.stop()


@contextmanager
def proxied(folder, servers):
    """A proxy that is told of both, by its environment and by the document."""
    for server in servers:
        server.start()
    urls = ",".join(server.url for server in servers)
    config = {"ratio": 0, "config_server": urls, "update_rate": "1h"}
    with Stack(
        folder, config=config, env={"CONFIG_SERVER": urls}, start=("stable", "canary", "web")
    ) as stack:
        yield stack


def write(server, ratio):
    """The ETag of the document with this ratio."""
    return fetch("PATCH", f"{server.url}/v1/kv/{KEY}", data=json.dumps({"ratio": ratio})).json()["etag"]


def test_each_is_killed_in_turn_under_a_load_of_changes(servers, tmp_path):
    ratios = cycle((0.25, 0.5, 0.75, 1.0))
    with proxied(tmp_path, servers) as stack, Load(stack.address, clients=8, pause=0.01) as load:
        for victim, survivor in (servers, servers[::-1]):
            for number in range(20):
                if number == 5:
                    victim.kill9()
                stack.wait_in_force(write(survivor, next(ratios)), IN_FORCE)
            victim.start()
            stack.wait_in_force(write(victim, next(ratios)), IN_FORCE)
    assert load.result.failures == []


def test_a_change_through_one_is_heard_through_the_other(servers, tmp_path):
    with proxied(tmp_path, servers) as stack:
        for number, server in enumerate(servers * 5):
            stack.wait_in_force(write(server, number / 10), IN_FORCE)
