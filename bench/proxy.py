"""Serin beside other proxies: what a request costs each of them, scenario by scenario.

    python -m bench.proxy [--rounds 5] [--seconds 5] [--scenario get-64,1m] [--only Serin,Envoy] [--write]

The proxy has one core to itself; load, servers and Serin's config server share another. Within a scenario
the proxies take turns, round by round, so that what the machine does besides falls on all alike; only
ratios taken in one run mean anything. Everything stays on the loopback. The whole takes about an hour.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from subprocess import SubprocessError
from typing import Protocol, TypeVar

from bench.measure import Load, Sample, canary_share, measure, visit, visitors, wrk
from bench.peers import PEERS, SEARCHED, SERIN, SERVERS, Peer, Site
from bench.results import COLUMNS, PAGE, keep, machine, markdown, row, without
from bench.scenarios import BODIES, SCENARIOS, Scenario
from tests.support.processes import answers, free_port

PORTS = ("listen", "stable", "canary", "admin", "kv")
FEATURES = {"sticky": "sticky visitors", "log": "access log"}
FAILURES = (AssertionError, OSError, ValueError, HTTPException, SubprocessError)
METHOD = """\
What `python -m bench.proxy` measures: each proxy sends 95 of 100 requests to one server and 5 to the other,
over kept-alive connections, on one thread and one core; wrk and the servers (nginx) share another. The
proxies take turns, round by round; each is started for its turn, seen to split 400 requests as it should,
and warmed up for a second.

CPU time is user and system time of a proxy, with all its threads and children, from the kernel's accounting,
divided by the requests answered. Figures are medians over the rounds; the ratio is taken within each round.
Errors are those of all rounds: failed connections, timeouts, and answers that are not 2xx. RSS is taken after
the load; pages that processes share count for each.

Serin is `python -m app`; *worker* the same under gunicorn with `app.worker.Worker`; *gunicorn* with gunicorn's
own gevent worker; *obvious* is `bench/obvious.py`: pywsgi, Werkzeug and requests. Serin and *obvious* make
visitors stick in all scenarios, the others only in that of visitors who come back, with 64 cookies in turn. Access
logs go to a file, with each proxy's own buffering."""
Samples = dict[str, list[Sample]]


class Named(Protocol):
    """What a flag can choose."""

    @property
    def name(self) -> str: ...


Choice = TypeVar("Choice", bound=Named)


@contextmanager
def servers(site: Site, core: int) -> Iterator[None]:
    """The two versions, up."""
    site.lay(SERVERS.config)
    _lay_bodies(site.folder)
    ready = answers(f"http://127.0.0.1:{site.ports['canary']}/")
    with SERVERS.process(site, core, SERVERS.arguments, ready):
        yield


def _lay_bodies(folder: Path) -> None:
    folder.chmod(0o755)  # nginx reads them as another user when root has started it
    (folder / "bodies").mkdir(exist_ok=True)
    for name, size in BODIES.items():
        (folder / "bodies" / name).write_bytes(bytes(size))


@contextmanager
def proxy(peer: Peer, site: Site, core: int, other_core: int) -> Iterator[int]:
    """The proxy, up, with what it needs; its process id. Raises AssertionError when it does not come up."""
    if peer.config:
        site.lay(peer.config)
    with ExitStack() as stack:
        if peer.companion:
            ready = answers(f"http://127.0.0.1:{site.ports['kv']}/-/healthz")
            stack.enter_context(peer.process(site, other_core, peer.companion, ready))
        ready = answers(f"http://127.0.0.1:{site.ports['listen']}/")
        yield stack.enter_context(peer.process(site, core, peer.arguments, ready)).pid


def turn(peer: Peer, site: Site, core: int, load: Load) -> Sample:
    """One proxy's part of one round: start, see that it does the job, warm up, measure, end."""
    port = site.ports["listen"]
    for old in site.folder.glob("*.log"):
        old.unlink()
    with proxy(peer, site, core, load.core) as pid:
        share = canary_share(port)
        assert 0.01 < share < 0.1, f"the canary got {share:.1%} of the requests, not about 5 %"
        if "sticky" in site.features:
            load = replace(load, cookies=sticking(port))
        wrk(port, replace(load, seconds=1))
        sample = measure(pid, port, load)
    if "log" in site.features:
        written = sum(log.stat().st_size for log in site.folder.glob("*.log"))
        assert written > sample.rate * load.seconds, "it kept no access log"
    return sample


def sticking(port: int) -> tuple[str, ...]:
    """The cookies of new visitors. Raises AssertionError when one of them does not hold its visitor."""
    cookies = visitors(port)
    for cookie in cookies:
        versions = {visit(port, cookie)[0] for _ in range(5)}
        assert len(versions) == 1, f"a visitor with {cookie!r} met {sorted(versions)}"
    return cookies


def run(
    peers: Sequence[Peer], scenario: Scenario, rounds: int, load: Load, core: int
) -> tuple[Samples, dict[str, str]]:
    """All rounds of a scenario: the samples of those that ran, and why the others did not."""
    samples: Samples = {peer.name: [] for peer in peers}
    missing = {peer.name: why for peer in peers if (why := excuse(peer, scenario))}
    fixed = {name: free_port() for name in PORTS}
    with tempfile.TemporaryDirectory() as name:
        site = Site(fixed, Path(name), frozenset({scenario.feature} - {""}))
        with servers(site, load.core):
            for number in range(rounds):
                for peer in (each for each in peers if each.name not in missing):
                    print(f"{scenario.name}, round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
                    here = replace(site, ports=fixed | {"listen": free_port()})
                    try:
                        samples[peer.name].append(turn(peer, here, core, load))
                    except FAILURES as error:
                        print(error, file=sys.stderr)
                        missing[peer.name] = str(error).splitlines()[0]
    return samples, missing


def excuse(peer: Peer, scenario: Scenario) -> str:
    """Why the proxy need not try; "" when it shall."""
    if peer.path() is None:
        return "not installed"
    return f"has no {FEATURES[scenario.feature]}" if scenario.feature in peer.lacks else ""


def table(peers: Sequence[Peer], samples: Samples, missing: dict[str, str]) -> str:
    """As Markdown, a line for each proxy."""
    serins = samples.get(SERIN.name, [])
    rows = [
        without(peer.name, missing[peer.name])
        if peer.name in missing
        else row(peer.name, peer.version_text(), samples[peer.name], serins)
        for peer in peers
    ]
    return markdown(COLUMNS, rows)


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.proxy", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each proxy has its turn (%(default)s)"
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of each turn (%(default)s)")
    parser.add_argument("--scenario", default="", help=f"of {_names(SCENARIOS)}; all without it")
    parser.add_argument("--only", default="", help=f"of {_names(PEERS)}; all without it")
    parser.add_argument("--write", action="store_true", help=f"keep the tables in {PAGE.name}")
    return parser.parse_args(argv)


def _names(choices: Sequence[Named]) -> str:
    return ", ".join(choice.name for choice in choices)


def chosen(names: str, choices: Sequence[Choice]) -> list[Choice]:
    """Those with these names; all when there are none. Raises SystemExit for a name that it does not know."""
    by_name = {choice.name.lower(): choice for choice in choices}
    try:
        return [by_name[name.strip()] for name in names.lower().split(",")] if names else list(choices)
    except KeyError as error:
        raise SystemExit(f"{error} is none of {', '.join(by_name)}") from error


def main(argv: list[str] | None = None) -> None:
    """Measures, and prints each table as soon as it is whole."""
    asked = flags(argv)
    cores = sorted(os.sched_getaffinity(0))
    lacking = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool, path=SEARCHED) is None]
    if lacking or len(cores) < 2:
        raise SystemExit(f"the benchmark needs two cores and {', '.join(lacking) or 'has one'}")
    peers, scenarios = chosen(asked.only, PEERS), chosen(asked.scenario, SCENARIOS)
    for scenario in scenarios:
        load = scenario.load(asked.seconds, cores[1])
        text = table(peers, *run(peers, scenario, asked.rounds, load, cores[0]))
        text = f"{machine()}; {asked.rounds} rounds of {asked.seconds} s.\n\n{text}"
        print(f"## {scenario.title}\n\n{text}\n", flush=True)
        if asked.write:
            keep("The proxy beside others", METHOD)
            keep(f"Proxy: {scenario.title}", text)


if __name__ == "__main__":
    main()
