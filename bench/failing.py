"""Servers that fail in whatever way, and what users notice: a canary, one of three servers, all of them, or half of all
answers.

Real processes: a config server, a proxy, three servers of stable and one of the canary. Each line begins with all of
them new, so nothing that one has spent is missing in the next.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent

from bench.faulty import Faulty
from bench.findings import Finding
from bench.pace import Pace
from tests.support.load import Load
from tests.support.processes import fetch, wait_until
from tests.support.stack import Stack

# Of the open loop, in requests a second.
RATE = 200.0
# Of the closed one.
CLIENTS, PAUSE = 64, 0.03

# Milliseconds that the shield may add, and that a refusal may take.
ADDED, REFUSAL = 2.0, 50.0
# Seconds until a bad server is ejected, and until all is well again.
EJECTED, RETURNED = 1.0, 1.0
# What servers may see of what is asked.
MOST = 1.2

SLOW_START = 4.0
# A returning server is looked at so often while it starts slowly.
SLICES = 8
# By how much chance may move its share of one slice.
TOLERANCE = 0.04

ONE_OF_THREE = {
    "retry": {"try_timeout": "300ms"},
    "outlier": {"ejection": "1s"},
    "health": {"slow_start": f"{SLOW_START:g}s"},
}
PROBES = {"health": {"path": "/", "interval": "250ms", "rise": 1}}


@dataclass(frozen=True, slots=True)
class Site:
    """A proxy and the servers behind it."""

    stack: Stack
    stable: list[Faulty]
    canary: Faulty

    def figures(self, version: str) -> dict[str, Any]:
        """What the proxy says of a version."""
        figures: dict[str, Any] = self.stack.status()["versions"][version]
        return figures

    def server(self, url: str) -> dict[str, Any]:
        """What it says of one of stable's servers."""
        found: dict[str, Any] = next(each for each in self.figures("stable")["servers"] if each["url"] == url)
        return found

    def served(self) -> int:
        """What stable's servers have had, by their own counts."""
        return sum(server.served() for server in self.stable)


@contextmanager
def site(folder: Path, **config: Any) -> Iterator[Site]:
    """All up; `config`: fields of the document."""
    stable, canary = [Faulty(folder) for _ in range(3)], Faulty(folder, "canary")
    versions = {"stable": serving(*stable), "canary": serving(canary)}
    stack = Stack(folder, config={"ratio": 0, **versions, **config}, start=("kv", "web"))
    with ExitStack() as exits:
        for server in (*stable, canary):
            exits.enter_context(server)
        yield Site(exits.enter_context(stack), stable, canary)


def serving(*servers: Faulty) -> dict[str, Any]:
    """A version of these servers."""
    return {"servers": [{"url": server.url} for server in servers]}


def canary(seconds: float, folder: Path) -> Finding:
    """It fails all it is asked."""
    with site(folder, ratio=0.2) as here:
        well = _pace(here, seconds)
        here.canary.be("fails")
        before, served = here.figures("canary"), here.canary.served()
        failing = _pace(here, seconds)
        after, served = here.figures("canary"), here.canary.served() - served
    failed, good = (after["answered"][key] - before["answered"][key] for key in ("5xx", "2xx"))
    # The fifth that is spared is the slowest fifth, so the median of those is at 90 % of all.
    added, spared = (failing[key] - well[key] for key in ("p50_ms", "p90_ms"))
    return Finding(
        "canary fails all requests at ratio 0.2",
        f"no errors, all of its failures counted, median latency + {ADDED:g} ms at most",
        f"{failing['failures']} errors in {failing['requests']:,} requests, {failed:,} of {served:,} counted, "
        f"median {added:+.2f} ms (of those spared {spared:+.2f} ms)",
        failing["failures"] == well["failures"] == good == 0 < failed == served
        and max(added, spared) < ADDED,
    )


def _pace(here: Site, seconds: float) -> dict[str, Any]:
    with Pace(here.stack.address, RATE) as pace:
        gevent.sleep(seconds)
    return pace.last


@dataclass(frozen=True, slots=True)
class Fault:
    """How a server goes wrong, and comes back."""

    title: str
    begin: Callable[[Faulty], object]
    end: Callable[[Faulty], object]


FAULTS = {
    "killed": Fault("killed", Faulty.kill9, Faulty.start),
    "hung": Fault("hangs", lambda each: each.send(signal.SIGSTOP), lambda each: each.send(signal.SIGCONT)),
    "resets": Fault("resets", lambda each: each.be("resets"), lambda each: each.be("well")),
}


def one_of_three(fault: Fault, folder: Path) -> Finding:
    """Under the load of all clients, there and back."""
    with site(folder, **ONE_OF_THREE) as here, Load(here.stack.address, clients=CLIENTS, pause=PAUSE) as load:
        bad = here.stable[0]
        load.wait_requests(2000, deadline=30)
        begun = time.monotonic()
        fault.begin(bad)
        wait_state(here, bad, "ejected")
        ejected = time.monotonic() - begun
        load.wait_requests(1000, deadline=30)
        fault.end(bad)
        wait_state(here, bad, "starting")
        shares = returning(here, bad)
        wait_state(here, bad, "up")
        load.wait_requests(1000, deadline=30)
    result = load.result
    return Finding(
        f"one of three servers {fault.title}, {CLIENTS} clients",
        f"no request lost, ejected within {EJECTED:g} s, back without a herd",
        f"{result.lost} of {result.requests:,} requests lost, ejected after {ejected:.2f} s, "
        f"back with {', '.join(f'{share:.0%}' for share in shares)} in each {SLOW_START / SLICES:g} s",
        result.lost == 0 and ejected <= EJECTED and grows(shares),
    )


def wait_state(here: Site, server: Faulty, state: str) -> None:
    """Until the proxy thinks this of it."""
    wait_until(lambda: here.server(server.url)["state"] == state, 20, what=f"it {state}", pause=0.01)


def returning(here: Site, server: Faulty) -> list[float]:
    """Its share of the requests in each slice of its slow start."""
    counts = [_counts(here, server)]
    begun = time.monotonic()
    for number in range(1, SLICES + 1):
        gevent.sleep(begun + number * SLOW_START / SLICES - time.monotonic())
        counts.append(_counts(here, server))
    return [
        (own - own_before) / max(1, total - total_before)
        for (own_before, total_before), (own, total) in pairwise(counts)
    ]


def _counts(here: Site, server: Faulty) -> tuple[int, int]:
    requests = {each["url"]: each["requests"] for each in here.figures("stable")["servers"]}
    return requests[server.url], sum(requests.values())


def grows(shares: list[float]) -> bool:
    """From little to a third, never beyond, but for chance."""
    steady = all(later > earlier - TOLERANCE for earlier, later in pairwise(shares))
    return steady and shares[0] < 1 / 6 and max(shares) <= 1 / 3 + TOLERANCE


def all_down(config: Mapping[str, Any], title: str, seconds: float, folder: Path) -> Finding:
    """All servers of stable killed at once, and started again."""
    with site(folder, **config) as here:
        for server in here.stable:
            server.kill9()
        with Pace(here.stack.address, RATE) as pace:
            gevent.sleep(seconds)
        waiting = sum(each["in_flight"] for each in here.figures("stable")["servers"])
        returned = _returned(here)
    refused = pace.last
    return Finding(
        title,
        f"503 within {REFUSAL:g} ms, no pile-up, all well within {RETURNED:g} s of their return",
        f"{refused['failures']:,} of {refused['requests']:,} refused, after {refused['p50_ms']:.1f} ms "
        f"(p99 {refused['p99_ms']:.1f}, worst {refused['worst_ms']:.1f}), {waiting} left under way, "
        f"all well after {returned:.2f} s",
        refused["failures"] == refused["requests"] > 0 == waiting
        and refused["worst_ms"] <= REFUSAL
        and returned <= RETURNED,
    )


def _returned(here: Site) -> float:
    """Seconds from the return of all to the last request that was refused."""
    refused = [0.0]

    def ask() -> None:
        while True:
            status = fetch("GET", here.stack.url).status_code
            assert status in (200, 503), status
            if status == 503:
                refused.append(time.monotonic())
            gevent.sleep(0.01)

    asking = gevent.spawn(ask)
    for server in here.stable:
        server.start(wait=False)
    for server in here.stable:
        server.wait_ready()
    returned = time.monotonic()
    gevent.sleep(2 * RETURNED)
    asking.kill()
    assert here.stack.get().ok, "they serve no more"
    return max(0.0, refused[-1] - returned)


def collapse(requests: int, good_times: float, folder: Path) -> Finding:
    """Half of all answers are failures, after so many seconds without one. Counted when nothing is under way."""
    with site(folder, outlier={"max_ejected": 0}) as here:
        if good_times:
            with Load(here.stack.address, clients=CLIENTS, pause=PAUSE):
                gevent.sleep(good_times)
        for server in here.stable:
            server.be("halves")
        before = here.served()
        with Load(here.stack.address, clients=CLIENTS, pause=PAUSE) as load:
            load.wait_requests(requests, deadline=120)
        seen, offered = here.served() - before, load.result.requests
    after = f", after {good_times:g} s without one" if good_times else ""
    return Finding(
        f"half of all answers are failures{after}",
        f"servers see {MOST:g} times what is asked at most",
        f"{offered:,} asked, {seen:,} seen: {seen / offered:.4f} times; "
        f"{load.result.lost / offered:.1%} of users saw a failure",
        seen <= MOST * offered and sum(load.result.statuses.values()) == offered,
    )
