"""Servers that die, hang, lie and come back while clients are served: a real proxy, and what its users notice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gevent
import pytest

from tests.proxy.peer import Peer, Upstream
from tests.support.load import Load
from tests.support.processes import Process, free_port, wait_until
from tests.support.raw import OK
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

FAILED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Site:
    """A proxy before three stable servers, each a process."""

    stack: Stack
    servers: dict[str, Process]

    def use(self, **settings: Any) -> None:
        """A config of the three servers and these fields, in force, with all that is thought of servers undone.

        The budget is a matter of a test of its own: what one has spent must not be missing in the next.
        """
        document = {
            "config_server": self.stack.kv_url,
            "stable": serving(*self.servers),
            "retry": {"budget": 1},
        }
        for fields in ({**document, "stable": serving("http://127.0.0.1:1")}, {**document, **settings}):
            self.stack.wait_in_force(self.stack.put_config(fields)["etag"])

    def states(self) -> dict[str, str]:
        """What is thought of each stable server, by URL."""
        return {server["url"]: server["state"] for server in self.figures("stable")["servers"]}

    def wait_state(self, url: str, *states: str) -> None:
        wait_until(lambda: self.states().get(url) in states, what=f"it {states[0]}", pause=0.02)

    def figures(self, version: str) -> dict[str, Any]:
        figures: dict[str, Any] = self.stack.status()["versions"][version]
        return figures

    def requests(self, *urls: str) -> int:
        """How many these servers have had."""
        return sum(each["requests"] for each in self.figures("stable")["servers"] if each["url"] in urls)


def serving(*urls: str) -> dict[str, Any]:
    return {"servers": [{"url": url} for url in urls]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as exits:
        stack = Stack(tmp_path_factory.mktemp("site"), config={"canary": {}}, start=("kv", "web"))
        servers = {f"http://127.0.0.1:{port}": stack.sample("stable", port) for port in ports(3)}
        for process in servers.values():
            exits.push(process.__exit__)
            process.start(wait=False)
        for process in servers.values():
            process.wait_ready()
        yield Site(exits.enter_context(stack), servers)


def ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]


def answering(answer: Callable[[], bytes | None]) -> Upstream:
    """A server that answers as it is told each time; None is a reset."""

    def serve(peer: Peer) -> None:
        while peer.head():
            said = answer()
            if said is None:
                peer.reset()
                return
            peer.send(said)

    return Upstream(serve)


def test_a_canary_that_always_fails_costs_users_nothing(site):
    with answering(lambda: FAILED) as canary:
        site.use(ratio=0.2, canary=serving(canary.url), retry={"budget": 0.2})
        before, over_budget = site.figures("canary"), site.stack.status()["tries"]["over_budget"]
        with Load(site.stack.address, clients=16, pause=0.01) as load:
            load.wait_requests(1000)
        after = site.figures("canary")
    assert load.result.failures == []
    assert load.result.versions == {"stable": load.result.requests}
    failed = after["answered"]["5xx"] - before["answered"]["5xx"]
    assert abs(failed - load.result.requests * 0.2) <= 1
    assert after["spared"]["shield"] - before["spared"]["shield"] == failed
    assert (after["answered"]["2xx"], site.stack.status()["tries"]["over_budget"]) == (0, over_budget)


END_AND_RETURN = {
    "killed": (Process.kill9, Process.start),
    "hung": (
        lambda process: process.send(signal.SIGSTOP),
        lambda process: process.send(signal.SIGCONT),
    ),
}


@pytest.mark.parametrize("fault", END_AND_RETURN)
def test_one_server_of_three_may_go_and_come_back(site, fault):
    """Users notice nothing; it is ejected, and let in again slowly."""
    end, return_ = END_AND_RETURN[fault]
    site.use(
        retry={"budget": 1, "try_timeout": "300ms"},
        health={"slow_start": "2s"},
        outlier={"ejection": "1s", "rate": "off"},
    )
    url, victim = next(iter(site.servers.items()))
    with Load(site.stack.address, clients=64, pause=0.05) as load:
        load.wait_requests(200)
        end(victim)
        site.wait_state(url, "ejected")
        before = site.requests(url)
        load.wait_requests(200)
        assert site.requests(url) - before <= 64  # what was under way, and what it got between two ejections
        return_(victim)
        site.wait_state(url, "starting")
        site.wait_state(url, "up")
        load.wait_requests(100)
    print(f"{fault}: {load.result.requests} requests, the slowest took {load.result.slowest:.2f} s")
    assert load.result.failures == []
    assert set(load.result.statuses) == {"200"}


def test_a_server_that_resets_is_ejected_and_costs_nobody(site):
    answers: list[bytes | None] = [OK]
    with answering(lambda: answers[0]) as bad:
        others = list(site.servers)[:2]
        site.use(stable=serving(*others, bad.url), outlier={"ejection": "1s"}, health={"slow_start": "off"})
        with Load(site.stack.address, clients=64, pause=0.05) as load:
            load.wait_requests(100)
            answers[0] = None
            site.wait_state(bad.url, "ejected")
            load.wait_requests(100)
            answers[0] = OK
            site.wait_state(bad.url, "up")
            load.wait_requests(100)
    assert load.result.failures == []


def test_all_servers_down_is_a_503_at_once_and_all_is_well_when_they_are_back(site):
    site.use(health={"path": "/", "interval": "100ms", "timeout": "300ms", "rise": 1, "fall": 2})
    for process in site.servers.values():
        process.kill9()
    # From the first moment: connections are refused at first, and then there is no server to be chosen.
    assert {site.stack.get().status_code for _ in range(20)} == {503}
    wait_until(lambda: not site.figures("stable")["available"], what="none left")
    crowd = [gevent.spawn(timed, site.stack.get) for _ in range(32)]
    gevent.joinall(crowd, timeout=10, raise_error=True)
    assert all("(no_server)" in answer.text for answer, _ in map(gevent.Greenlet.get, crowd))
    assert sum(server["in_flight"] for server in site.figures("stable")["servers"]) == 0
    answer, took = timed(site.stack.get)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    for process in site.servers.values():
        process.start(wait=False)
    for process in site.servers.values():
        process.wait_ready()
    _, back = timed(lambda: wait_until(lambda: site.figures("stable")["available"], what="one up"))
    print(f"503 within {took * 1000:.1f} ms; served again {back:.2f} s after their return")
    with Load(site.stack.address, clients=16, pause=0.01) as load:
        load.wait_requests(100)
    assert load.result.failures == []


def timed(task: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.monotonic()
    return task(), time.monotonic() - begun


def test_a_collapse_is_not_amplified(site):
    """Half of all requests fail everywhere, and for a moment the servers are given no more than a share on top."""
    rng = random.Random(1)
    with ExitStack() as exits:
        flaky = [exits.enter_context(answering(lambda: rng.choice((OK, FAILED)))).url for _ in range(3)]
        site.use(stable=serving(*flaky), outlier={"max_ejected": 0}, retry={"budget": 0.2})
        with Load(site.stack.address, clients=64, pause=0.05) as load:
            load.wait_requests(2500, deadline=30)  # what the seconds before it have saved is spent
            before, begun = site.requests(*flaky), load.snapshot().requests
            load.wait_requests(3000, deadline=30)
            seen, offered = site.requests(*flaky) - before, load.snapshot().requests - begun
    print(f"{offered} requests offered, {seen} seen by servers: {seen / offered:.3f}")
    assert 1.1 * offered < seen <= 1.2 * offered + 64  # those under way at either end
