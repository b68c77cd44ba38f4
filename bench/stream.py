"""Large bodies through Serin, nginx and HAProxy: how fast they pass, and what that costs.

    python -m bench.stream [--rounds 5] [--size 1024] [--only Serin,nginx] [--write]

Each case moves `--size` MiB in all. The proxy has one core to itself; sender and receiver share another:
they make up nothing and look at nothing (tests.support.transfers), and yet they may be what sets the pace.
nginx and HAProxy have buffers of 64 KiB, several times their defaults; HAProxy may splice, as Serin does.
CPU time is the proxy's alone. The proxies take turns, round by round. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from bench.instance import LARGE, confined_to, cores
from bench.measure import cpu_seconds
from bench.peers import PEERS, Peer, Site
from bench.proxy import PORTS, chosen, proxy, servers
from bench.results import keep, machine, markdown, spread
from tests.support.processes import free_port
from tests.support.transfers import DIRECTIONS, MIB, Origin, Wire

GIB = 2**30
PATH = "/large"
COLUMNS = (
    "what",
    "proxy",
    "version",
    "MB/s (least–most)",
    "× nginx's MB/s",
    "CPU s per GiB (least–most)",
    "× nginx's CPU",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One direction, over so many connections at once; `body` in MiB, 0: one body on each connection."""

    title: str
    direction: str
    connections: int
    body: int = 0

    def bodies(self, total: int) -> tuple[int, int]:
        """Bodies on each connection, and bytes of each, when `total` MiB are to be moved."""
        share = max(1, total // self.connections)
        body = self.body or share
        return max(1, share // body), body * MIB


CASES = (
    Case("download, 1 at a time", "download", 1),
    Case("download, 8 at once", "download", 8),
    Case("upload, 1 at a time", "upload", 1),
    Case("upload, 8 at once", "upload", 8),
    Case("1 MiB responses, 8 at once", "download", 8, body=1),
    Case("1 MiB requests, 8 at once", "upload", 8, body=1),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one case of one proxy came to: MB (10⁶ bytes) a second, and CPU seconds per GiB (2³⁰ bytes)."""

    rate: float
    cost: float


Samples = dict[tuple[str, str], list[Sample]]


def _own_config(name: str, config: str) -> Peer:
    """The proxy with another config file."""
    (peer,) = chosen(name, PEERS)
    return replace(
        peer, config=config, arguments=tuple(each.replace(peer.config, config) for each in peer.arguments)
    )


NGINX = _own_config("nginx", "stream_nginx.conf")
STREAMERS = (LARGE, NGINX, _own_config("HAProxy", "stream_haproxy.cfg"))


def move(port: int, case: Case, total: int) -> int:
    """All bodies of a case; the bytes moved. Raises the first error of any connection."""
    count, size = case.bodies(total)
    errors: list[Exception] = []

    def series() -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=None) as connection:
                wire = Wire(connection)
                for _ in range(count):
                    DIRECTIONS[case.direction](wire, PATH, size, 0.0)
        except (OSError, AssertionError) as error:
            errors.append(error)

    threads = [Thread(target=series) for _ in range(case.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return count * size * case.connections


def measure(pid: int, port: int, case: Case, total: int) -> Sample:
    """One case of the proxy `pid` that listens on `port`."""
    before, begun = cpu_seconds(pid), time.monotonic()
    moved = move(port, case, total)
    seconds, cost = time.monotonic() - begun, cpu_seconds(pid) - before
    return Sample(moved / 1e6 / seconds, cost * GIB / moved)


@contextmanager
def site(core: int) -> Iterator[Site]:
    """nginx for the sign that a proxy is ready, and an Origin for all below PATH; both on this core."""
    with tempfile.TemporaryDirectory() as name, Origin(0.0) as origin:
        origin.wait_ready()
        here = Site({port: free_port() for port in PORTS}, Path(name))
        with servers(here, core):
            yield replace(here, ports={**here.ports, "canary": origin.port})


def run(peers: Sequence[Peer], rounds: int, total: int) -> Samples:
    """All rounds."""
    samples: Samples = {(case.title, peer.name): [] for case in CASES for peer in peers}
    core, other = cores()
    with confined_to(other), site(other) as here:
        for number in range(rounds):
            for peer in peers:
                print(f"round {number + 1} of {rounds}: {peer.name}", file=sys.stderr)
                fresh = replace(here, ports={**here.ports, "listen": free_port()})
                with proxy(peer, fresh, core, other) as pid:
                    for case in CASES:
                        own = samples[case.title, peer.name]
                        own.append(measure(pid, fresh.ports["listen"], case, total))
    return samples


def row(case: Case, peer: Peer, samples: Samples) -> tuple[str, ...]:
    """Medians over the rounds; the ratios are taken within each round."""
    own, nginx = samples[case.title, peer.name], samples.get((case.title, NGINX.name), [])
    pairs = list(zip(own, nginx, strict=False))
    return (
        case.title,
        peer.name,
        peer.version_text(),
        spread([each.rate for each in own], "{:,.0f}"),
        _median([mine.rate / other.rate for mine, other in pairs]),
        spread([each.cost for each in own], "{:.2f}"),
        _median([mine.cost / other.cost for mine, other in pairs if other.cost]),
    )


def _median(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.stream", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (%(default)s)")
    parser.add_argument("--size", type=int, default=1024, help="MiB moved by each case (%(default)s)")
    names = ", ".join(peer.name for peer in STREAMERS)
    parser.add_argument("--only", default="", help=f"of {names}; all without it")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    peers = [peer for peer in chosen(asked.only, STREAMERS) if peer.path()]
    samples = run(peers, asked.rounds, asked.size)
    rows = [row(case, peer, samples) for case in CASES for peer in peers]
    text = f"{machine()}; {asked.rounds} rounds of {asked.size} MiB.\n\n{markdown(COLUMNS, rows)}"
    print(text)
    if asked.write:
        keep("Large bodies", text)


if __name__ == "__main__":
    main()
