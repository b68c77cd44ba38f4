"""Serin's config server beside etcd: reads, conditional reads, durable writes, and watchers.

    python -m bench.kv [--rounds 5] [--seconds 5] [--watchers 1000] [--write]

Documents of 1 KiB over kept-alive connections; writes go to 64 keys, each time with another content, and
reads to one. etcd is asked through its JSON gateway, and has no conditional reads. The store has one core to
itself, which Serin shares with the etcd that it is on; the load has another. A change's time runs from its PUT
to the last watcher who has it, ten times a round; the watchers of either hold a stream.
The stores take turns, round by round. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from bench.instance import confined_to, cores
from bench.measure import cpu_seconds, read_report
from bench.results import keep, machine, markdown, spread
from bench.stores import ETCD, STORES, Request, Running, Store
from tests.support.raw import Address

SCRIPT = Path(__file__).parent / "store.lua"
CLIENTS = (1, 64)
ASKED = {"read": "read", "unchanged": "conditional read (304)", "write": "durable write"}
CHANGES = 10
COLUMNS = (
    "what",
    "clients",
    "store",
    "requests/s (least–most)",
    "× etcd",
    "p50 ms",
    "p99 ms",
    "CPU µs a request",
    "errors",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one load of one store came to, or its changes: their `p99_ms` is the worst, and `rate` 1 / p50."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int = 0


Samples = dict[tuple[str, int, str], list[Sample]]


def measure(running: Running, request: Request, load: tuple[int, int]) -> Sample:
    """Loads the store for seconds from connections, as `load` says. Raises CalledProcessError when wrk fails."""
    processes, address = running
    before = total_cpu(processes)
    report = read_report(wrk(address, request, load))
    cost = total_cpu(processes) - before
    return Sample(
        report.requests / report.seconds,
        report.p50_ms,
        report.p99_ms,
        cost * 1e6 / max(report.requests, 1),
        report.errors,
    )


def total_cpu(processes: Sequence[int]) -> float:
    """Seconds that they have taken together."""
    return sum(map(cpu_seconds, processes))


def wrk(address: Address, request: Request, load: tuple[int, int]) -> str:
    """What wrk prints."""
    return subprocess.run(
        wrk_command(address, request, load), capture_output=True, text=True, check=True
    ).stdout


def wrk_command(address: Address, request: Request, load: tuple[int, int]) -> list[str]:
    """For so many seconds and connections."""
    seconds, connections = load
    command = ["wrk", "--threads", "1", "--timeout", "10s", "--script", str(SCRIPT)]
    command += ["--duration", f"{seconds}s", "--connections", str(connections)]
    command += [f"http://{address[0]}:{address[1]}/", "--"]
    return [*command, request.method, request.path, request.body, request.etag]


def ask(address: Address, request: Request, stamp: str = "") -> bytes:
    """A whole answer, or as much of it as comes at once. Raises AssertionError when it is not a success."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request.raw(stamp))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 20"), answer
    return answer


class Watchers:
    """Connections that watch one key, without a library between: they cost little beside what they measure."""

    def __init__(self, address: Address, store: Store, count: int) -> None:
        self._address, self._store = address, store
        self._connections = [socket.create_connection(address, 30) for _ in range(count)]
        self._selector = DefaultSelector()
        for connection in self._connections:
            self._selector.register(connection, EVENT_READ)
        request = store.requests["watch"].raw()
        for connection in self._connections:
            connection.sendall(request)
        self._await(store.watched)

    def __enter__(self) -> Watchers:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.close()

    def change(self, number: int) -> float:
        """Seconds from a PUT to the last watcher who has it. `number`: another one each time."""
        stamp = f"{number:016d}"
        with socket.create_connection(self._address, timeout=10) as writer:
            begun = time.monotonic()
            writer.sendall(self._store.requests["write"].raw(stamp))
            self._await(stamp.encode())
            seconds = time.monotonic() - begun
            answer = writer.recv(65536)
        assert answer.startswith(b"HTTP/1.1 20"), answer
        return seconds

    def _await(self, sign: bytes) -> None:
        """Until all have received it. Raises AssertionError when they do not in time."""
        heard = dict.fromkeys(self._connections, b"")
        end = time.monotonic() + 30
        while heard:
            assert time.monotonic() < end, f"{len(heard)} watchers heard nothing of {sign!r}"
            for key, _ in self._selector.select(1.0):
                connection: Any = key.fileobj
                block = connection.recv(65536)
                assert block, "a watcher was sent away"
                if connection in heard:
                    heard[connection] += block
                    if sign in heard[connection]:
                        del heard[connection]


def etag(address: Address, store: Store) -> str:
    """Of the key that is read and watched; "" when the store gives none."""
    found = re.search(rb"\r\nETag: (\S+)", ask(address, store.requests["read"]))
    return found[1].decode() if found else ""


def changes(running: Running, store: Store, watchers: int) -> Sample:
    """CHANGES changes, one after the other, before so many watchers."""
    processes, address = running
    with Watchers(address, store, watchers) as crowd:
        first, before = time.time_ns() // 1000, total_cpu(processes)
        times = sorted(crowd.change(first + number) * 1e3 for number in range(CHANGES))
        cost = total_cpu(processes) - before
    middle = statistics.median(times)
    return Sample(1e3 / middle, middle, times[-1], cost * 1e6 / CHANGES)


def turn(store: Store, core: int, seconds: int, watchers: int, samples: Samples) -> None:
    """One store's part of one round, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name, store.running(Path(name), core) as running:
        address = running[1]
        ask(address, store.requests["write"], "0" * 16)
        for asked, clients, request in requests(store, etag(address, store)):
            sample = measure(running, request, (seconds, clients))
            samples.setdefault((asked, clients, store.name), []).append(sample)
        told = changes(running, store, watchers)
        samples.setdefault(("watch", watchers, store.name), []).append(told)


def requests(store: Store, etag: str) -> list[tuple[str, int, Request]]:
    """What the store is asked, and by how many clients; without an ETag there are no conditional reads."""
    known = dict(store.requests)
    if etag:
        known["unchanged"] = replace(known["read"], etag=etag)
    return [(asked, clients, known[asked]) for asked in ASKED if asked in known for clients in CLIENTS]


def run(stores: Sequence[Store], rounds: int, seconds: int, watchers: int) -> Samples:
    """All rounds."""
    samples: Samples = {}
    core, other = cores()
    with confined_to(other):
        for number in range(rounds):
            for store in stores:
                print(f"round {number + 1} of {rounds}: {store.name}", file=sys.stderr)
                turn(store, core, seconds, watchers, samples)
    return samples


def rows(stores: Sequence[Store], samples: Samples) -> list[tuple[str, ...]]:
    """A row for each measurement that was made, the stores side by side."""
    loads = list(dict.fromkeys((asked, clients) for asked, clients, _ in samples))
    return [
        row(asked, clients, store, samples)
        for asked, clients in sorted(loads, key=lambda load: [*ASKED, "watch"].index(load[0]))
        for store in stores
        if (asked, clients, store.name) in samples
    ]


def row(asked: str, clients: int, store: Store, samples: Samples) -> tuple[str, ...]:
    """Medians over the rounds; the ratio is taken within each round."""
    own, others = samples[asked, clients, store.name], samples.get((asked, clients, ETCD.name), [])
    ratios = [mine.rate / other.rate for mine, other in zip(own, others, strict=False)]
    return (
        ASKED.get(asked, "change to the last watcher"),
        f"{clients:,}",
        store.name,
        spread([each.rate for each in own], "{:,.0f}") if asked in ASKED else "–",
        f"{statistics.median(ratios):.2f}" if ratios else "–",
        f"{statistics.median(each.p50_ms for each in own):.2f}",
        f"{statistics.median(each.p99_ms for each in own):.2f}",
        f"{statistics.median(each.cpu_us for each in own):,.0f}",
        str(sum(each.errors for each in own)),
    )


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.kv", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load (%(default)s)")
    parser.add_argument("--watchers", type=int, default=1000, help="of one key (%(default)s)")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    stores = [store for store in STORES if not store.missing()]
    samples = run(stores, asked.rounds, asked.seconds, asked.watchers)
    absent = "".join(f" {store.name} is not installed." for store in STORES if store.missing())
    head = f"{machine()}; {asked.rounds} rounds of {asked.seconds} s.{absent}"
    text = f"{head}\n\n{markdown(COLUMNS, rows(stores, samples))}"
    print(text)
    if asked.write:
        keep("The config server beside etcd", text)


if __name__ == "__main__":
    main()
