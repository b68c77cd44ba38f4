"""Three members, two servers, eight clients: whatever becomes of a member, what the clients are told can be true."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from kv.engine import engine_from
from tests.support.etcd import NEEDS_ETCD, Cluster, etcd
from tests.support.kv_helpers import serving, serving_store
from tests.support.kv_history import Crowd
from tests.support.processes import wait_until

pytestmark = [NEEDS_ETCD, pytest.mark.end_to_end]


@pytest.fixture
def cluster():
    with etcd(3) as members:
        yield members


@pytest.fixture
def crowd(cluster, prefix):
    """Half of it asks one server, half of it the other."""
    store = cluster.store + prefix
    with (
        serving_store(engine_from(store)) as one,
        serving_store(engine_from(store)) as other,
        serving(one) as first,
        serving(other) as second,
    ):
        ports = [first.server_port, second.server_port]
        yield Crowd(lambda number: ("127.0.0.1", ports[number % 2]), ["a", "b", "c"], patience=15.0)


@contextmanager
def killed(cluster, member):
    member.kill9()
    yield
    member.start()


@contextmanager
def frozen(cluster, member):
    member.freeze()
    try:
        yield
    finally:
        member.thaw()


@contextmanager
def cut_off(cluster, member):
    cluster.divide(member)
    yield
    cluster.divide()


@pytest.mark.parametrize("trouble", [killed, frozen, cut_off])
def test_while_the_leader_is(trouble, cluster, crowd):
    with crowd.at_work():
        wait_until(lambda: crowd.made > crowd.goal / 4, 20)
        old = cluster.leader()
        with trouble(cluster, old):
            Cluster(member for member in cluster if member is not old).leader()
            wait_until(lambda: crowd.made > crowd.goal * 3 / 4, 30)
    crowd.check()
