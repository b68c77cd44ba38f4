"""Serin beside other proxies: what one small GET over a kept-alive connection costs each of them.

    python -m bench.proxy [--rounds 5] [--seconds 5] [--only Serin,Envoy] [--write]

The proxy has one core to itself; load, servers and Serin's config server share another. The proxies take
turns, round by round, so that what the machine does besides falls on all alike; only ratios taken in one
run mean anything. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import Load, Sample, canary_share, measure, wrk
from bench.peers import PEERS, SEARCHED, SERIN, SERVERS, Peer, Site
from tests.support.processes import answers, free_port

RESULTS = Path(__file__).parent / "RESULTS.md"
PORTS = ("listen", "stable", "canary", "admin", "kv")
COLUMNS = (
    "proxy",
    "version",
    "CPU µs a request (least–most)",
    "× Serin",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "errors",
    "RSS MB",
)
Samples = dict[str, list[Sample]]


@contextmanager
def servers(site: Site, core: int) -> Iterator[None]:
    """The two versions, up."""
    site.lay(SERVERS.config)
    ready = answers(f"http://127.0.0.1:{site.ports['canary']}/")
    with SERVERS.process(site, core, SERVERS.arguments, ready):
        yield


@contextmanager
def proxy(peer: Peer, site: Site, core: int, other_core: int) -> Iterator[int]:
    """The proxy, up, with what it needs; its process id. Raises AssertionError when it does not come up."""
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
    with proxy(peer, site, core, load.core) as pid:
        share = canary_share(port)
        assert 0.0 < share < 0.15, f"the canary got {share:.1%} of the requests, not about 5 %"
        wrk(port, Load(1, load.connections, load.core))
        return measure(pid, port, load)


def run(
    peers: list[Peer], rounds: int, load: Load, core: int, folder: Path
) -> tuple[Samples, dict[str, str]]:
    """All rounds: the samples of those that ran, and why the others did not."""
    samples: Samples = {peer.name: [] for peer in peers}
    missing = {peer.name: "not installed" for peer in peers if peer.path() is None}
    fixed = {name: free_port() for name in PORTS}
    with servers(Site(fixed, folder), load.core):
        for number in range(rounds):
            for peer in peers:
                if peer.name in missing:
                    continue
                print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
                site = Site(fixed | {"listen": free_port()}, folder)
                try:
                    samples[peer.name].append(turn(peer, site, core, load))
                except (AssertionError, OSError, ValueError) as error:
                    print(error, file=sys.stderr)
                    missing[peer.name] = str(error).splitlines()[0]
    return samples, missing


def table(peers: list[Peer], samples: Samples, missing: dict[str, str]) -> str:
    """Medians over the rounds, as Markdown; the ratio is the median of the ratios within each round."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for peer in peers:
        if peer.name in missing:
            lines.append(f"| {peer.name} | – | {missing[peer.name]} | – | – | – | – | – | – |")
        else:
            lines.append(row(peer, samples[peer.name], samples.get(SERIN.name, [])))
    return "\n".join(lines)


def row(peer: Peer, own: list[Sample], serins: list[Sample]) -> str:
    """One line of the table."""
    costs = [sample.cpu_us for sample in own]
    ratios = [mine.cpu_us / serin.cpu_us for mine, serin in zip(own, serins, strict=False)]
    cells = (
        peer.name,
        peer.version_text(),
        f"{statistics.median(costs):.1f} ({min(costs):.1f}–{max(costs):.1f})",
        f"{statistics.median(ratios):.2f}" if ratios else "–",
        f"{statistics.median(sample.rate for sample in own):,.0f}",
        f"{statistics.median(sample.p50_ms for sample in own):.2f}",
        f"{statistics.median(sample.p99_ms for sample in own):.2f}",
        str(sum(sample.errors for sample in own)),
        f"{statistics.median(sample.rss_mb for sample in own):.0f}",
    )
    return f"| {' | '.join(cells)} |"


def report(text: str, rounds: int, load: Load) -> str:
    """The page that is kept: what was measured, on what, and the table."""
    return f"""# The proxy beside others

Small GETs over {load.connections} kept-alive connections, split 95 to 5 over two servers; the proxy on one
core, load and servers on another; {rounds} interleaved rounds of {load.seconds} s, medians. CPU time is user and
system time of the proxy, all threads and children. {os.cpu_count()} cores, Linux {platform.release()}, Python
{platform.python_version()}. `make bench` makes this table; only ratios taken in one run count.

{text}
"""


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.proxy", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often each proxy has its turn (%(default)s)"
    )
    parser.add_argument("--seconds", type=int, default=5, help="length of each turn (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="kept-alive connections (%(default)s)")
    parser.add_argument("--only", default="", help="names of proxies, separated by commas; all without it")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {RESULTS.name}")
    return parser.parse_args(argv)


def chosen(names: str) -> list[Peer]:
    """The proxies with these names; all when there are none. Raises SystemExit for a name it does not know."""
    by_name = {peer.name.lower(): peer for peer in PEERS}
    try:
        return [by_name[name.strip()] for name in names.lower().split(",")] if names else list(PEERS)
    except KeyError as error:
        raise SystemExit(f"{error} is none of {', '.join(by_name)}") from error


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    cores = sorted(os.sched_getaffinity(0))
    lacking = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool, path=SEARCHED) is None]
    if lacking or len(cores) < 2:
        raise SystemExit(f"the benchmark needs two cores and {', '.join(lacking) or 'has one'}")
    peers = chosen(asked.only)
    load = Load(asked.seconds, asked.connections, cores[1])
    with tempfile.TemporaryDirectory() as folder:
        samples, missing = run(peers, asked.rounds, load, cores[0], Path(folder))
    text = table(peers, samples, missing)
    print(text)
    if asked.write:
        RESULTS.write_text(report(text, asked.rounds, load))


if __name__ == "__main__":
    main()
