"""A server behind a network that loses packets, or all of them: a namespace of its own, where the machine allows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import gevent.pool
import pytest
from gevent import subprocess

from app.config.model import HealthConfig, OutlierConfig, RetryConfig
from tests.proxy.peer import LAST_GET
from tests.proxy.rig import Rig
from tests.support.processes import Process, answers, python, wait_until
from tests.support.raw import OK, RecordingServer, exchange

pytestmark = pytest.mark.end_to_end

NAME = f"serin{os.getpid()}"
NET = f"10.213.{os.getpid() % 250}"
PORT = 9001


def run(*words: str, check: bool = True) -> bool:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(words)}: {done.stderr}"
    return done.returncode == 0


def inside(*words: str) -> list[str]:
    return ["ip", "netns", "exec", NAME, *words]


@pytest.fixture(scope="module")
def namespace() -> Iterator[None]:
    if os.geteuid() or not (shutil.which("ip") and shutil.which("iptables")):
        pytest.skip("lost packets are not tested: that takes root, ip (iproute2) and iptables")
    if not run("ip", "netns", "add", NAME, check=False):
        pytest.skip("lost packets are not tested: this machine lets nobody make network namespaces")
    try:
        run("ip", "link", "add", f"{NAME}a", "type", "veth", "peer", "name", f"{NAME}b", "netns", NAME)
        run("ip", "address", "add", f"{NET}.1/30", "dev", f"{NAME}a")
        run("ip", "link", "set", f"{NAME}a", "up")
        run(*inside("ip", "address", "add", f"{NET}.2/30", "dev", f"{NAME}b"))
        run(*inside("ip", "link", "set", f"{NAME}b", "up"))
        yield
    finally:
        run("ip", "netns", "delete", NAME)


@contextmanager
def losing(*how: str) -> Iterator[None]:
    """Packets to the server, lost as iptables is told."""
    rule = ("INPUT", "-p", "tcp", "--dport", str(PORT), *how, "-j", "DROP")
    run(*inside("iptables", "-A", *rule))
    try:
        yield
    finally:
        run(*inside("iptables", "-D", *rule))


@pytest.fixture(scope="module")
def far(namespace: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server in the namespace."""
    url, log = f"http://{NET}.2:{PORT}", tmp_path_factory.mktemp("far") / "log"
    command = inside(*python("samples.version", "--host", f"{NET}.2", "--port", str(PORT)))
    with Process(command, Path(log), ready=answers(url)):
        yield url


def ask(rig: Rig, count: int) -> set[bytes]:
    """The statuses that so many clients see, eight at a time."""

    def one(_number: int) -> bytes:
        return exchange(rig.address, LAST_GET, deadline=20)[9:12]

    return set(gevent.pool.Pool(8).map(one, range(count)))


def test_lost_packets_cost_time_and_nothing_else(far):
    lossy = losing("-m", "statistic", "--mode", "random", "--probability", "0.05")
    with (
        lossy,
        Rig("fast_lane", far, timeouts={"connect": 15.0}) as rig,
    ):  # the second SYN comes after a second
        assert ask(rig, 60) == {b"200"}
        assert rig.stats.versions["stable"].failures == {}


def test_a_server_that_the_network_has_swallowed_is_ejected_and_comes_back(far):
    """Neither a refusal nor a reset tells of it: connections, idle ones too, are silent."""
    settings = {
        "outlier": OutlierConfig(consecutive=3, ejection=0.3),
        "retry": RetryConfig(try_timeout=0.3, backoff=None),
        "health": HealthConfig(slow_start=None),
        "timeouts": {"connect": 0.3},
    }
    with RecordingServer(OK) as near, Rig("fast_lane", far, near.url, **settings) as rig:
        assert ask(rig, 10) == {b"200"}
        with losing():
            assert ask(rig, 20) == {b"200"}
            assert rig.load(far).ejections >= 1
            assert set(rig.stats.versions["stable"].failures) <= {"timeout", "connect_timeout"}
        wait_until(lambda: not rig.load(far).ejected, what="it back")
        served = rig.load(far).requests
        assert ask(rig, 10) == {b"200"}
        assert rig.load(far).requests > served
