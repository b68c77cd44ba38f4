"""How what a request costs Serin grows: with servers, overrides, connections and workers.

    python -m bench.scale [--rounds 5] [--seconds 5] [--only hash,overrides] [--write]

Small GETs over 64 kept-alive connections. The proxy has one core to itself; load, servers and config server
share another. All sizes of a series take turns, round by round, each before a proxy of its own; ratios are to
the series' first size, within a round. Two workers have a core each where there are four; where there
are fewer, they share one, and only their CPU time means anything. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.fleet import MOST, document, many_servers, serin
from bench.instance import confined_to
from bench.measure import Load, Sample, family, measure, wrk
from bench.peers import SEARCHED, Site
from bench.proxy import PORTS
from bench.results import keep, machine, markdown, spread
from tests.support.crowd import Crowd
from tests.support.processes import free_port

ACTIVE = 64
SERVERS = (1, 10, 100, MOST)
OVERRIDES = (0, 16, 256)  # as many as a document may have
IDLE = (0, 1000, 10_000)
Samples = dict[tuple[str, int], list[Sample]]
COLUMNS = (
    "series",
    "size",
    "CPU µs a request (least–most)",
    "× first",
    "requests/s (least–most)",
    "× first",
    "errors",
    "RSS MB",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One size of a series. `document`: fields of the config; `known`: visitors who come back, in turn.

    `idle`: connections beside those of the load; `workers`: gunicorn's, 0 without gunicorn.
    """

    series: str
    size: int
    document: Mapping[str, Any] = field(default_factory=dict)
    servers: int = 1
    known: int = 0
    idle: int = 0
    workers: int = 0


def _over_servers(series: str, known: int = 0, **fields: Any) -> list[Case]:
    return [Case(series, count, fields, servers=count, known=known) for count in SERVERS]


def _overrides(count: int) -> dict[str, Any]:
    """None of which the load shows."""
    return {
        "overrides": [
            {"header": f"X-Tester-{number}", "value": "yes", "version": "canary"} for number in range(count)
        ]
    }


CASES = (
    *_over_servers("ratio", style="ratio"),
    *_over_servers("random", style="random"),
    *_over_servers("hash", known=1000, style="hash"),
    *_over_servers("round_robin", style="round_robin"),
    *_over_servers("least_connections", style="least_connections"),
    *_over_servers("sticky", known=1000, sticky_sessions=True),
    *_over_servers("sticky new", sticky_sessions=True),
    *(Case("overrides", count, _overrides(count)) for count in OVERRIDES),
    *(Case("idle connections", count, idle=count) for count in IDLE),
    *(Case("workers", count, workers=count) for count in (1, 2)),
)
SERIES = tuple(dict.fromkeys(case.series for case in CASES))


def turn(case: Case, site: Site, seconds: int, cores: Sequence[int]) -> Sample:
    """One size's part of one round: start, warm up, measure, end. The first two cores: the proxy's, the others'."""
    port = site.ports["listen"]
    config = document(site.ports["stable"], case.servers, case.document)
    load = Load(seconds, ACTIVE, cores[1], cookies=cookies(case.known))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        pid = stack.enter_context(serin(site, Path(name), config, case.workers, cores))
        spread_out(family(pid)[1:], cores)
        wrk(port, replace(load, seconds=1))
        stack.enter_context(Crowd(("127.0.0.1", port), "idle", case.idle)).wait_arrived(60)
        return measure(pid, port, load)


def cookies(count: int) -> tuple[str, ...]:
    """Of so many visitors: any id will do."""
    return tuple(f"serin={number:032x}" for number in range(count))


def spread_out(workers: Sequence[int], cores: Sequence[int]) -> None:
    """Gives each worker after the first a core of its own, when the load has two besides."""
    spare = cores[2:]
    for worker, core in zip(workers[1:], spare, strict=False) if len(spare) >= 2 else ():
        os.sched_setaffinity(worker, {core})


def run(cases: Sequence[Case], rounds: int, seconds: int, cores: Sequence[int]) -> Samples:
    """All rounds of each series."""
    samples: Samples = {(case.series, case.size): [] for case in cases}
    with tempfile.TemporaryDirectory() as name:
        site = Site({port: free_port() for port in PORTS}, Path(name))
        with confined_to(cores[1]), many_servers(site, cores[1]):
            for number, case in turns(cases, rounds):
                print(f"{case.series}, round {number + 1} of {rounds}: {case.size:,}", file=sys.stderr)
                fresh = replace(site, ports={**site.ports, "listen": free_port()})
                samples[case.series, case.size].append(turn(case, fresh, seconds, cores))
    return samples


def turns(cases: Sequence[Case], rounds: int) -> Iterator[tuple[int, Case]]:
    """In which order they come: a series has all its rounds before the next series begins."""
    for _, members in groupby(cases, key=lambda case: case.series):
        sizes = list(members)
        yield from ((number, case) for number in range(rounds) for case in sizes)


def row(case: Case, samples: Samples) -> tuple[str, ...]:
    """Medians over the rounds; the ratios, to the series' first size, are taken within each round."""
    own = samples[case.series, case.size]
    first = next(each for (series, _), each in samples.items() if series == case.series)
    pairs = list(zip(own, first, strict=True))
    return (
        case.series,
        f"{case.size:,}",
        spread([each.cpu_us for each in own], "{:.1f}"),
        f"{statistics.median(mine.cpu_us / other.cpu_us for mine, other in pairs):.2f}",
        spread([each.rate for each in own], "{:,.0f}"),
        f"{statistics.median(mine.rate / other.rate for mine, other in pairs):.2f}",
        str(sum(each.errors for each in own)),
        f"{statistics.median(each.rss_mb for each in own):.0f}",
    )


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each turn (%(default)s)")
    parser.add_argument("--only", default="", help=f"of {', '.join(SERIES)}; all without it")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    return parser.parse_args(argv)


def chosen(names: str) -> list[Case]:
    """The cases of these series; all without a name. Raises SystemExit for a name that it does not know."""
    wanted = [name.strip() for name in names.split(",")] if names else SERIES
    if unknown := set(wanted) - set(SERIES):
        raise SystemExit(f"{', '.join(sorted(unknown))}: none of {', '.join(SERIES)}")
    return [case for case in CASES if case.series in wanted]


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    cores = sorted(os.sched_getaffinity(0))
    lacking = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool, path=SEARCHED) is None]
    if lacking or len(cores) < 2:
        raise SystemExit(f"the benchmark needs two cores and {', '.join(lacking) or 'has one'}")
    cases = chosen(asked.only)
    samples = run(cases, asked.rounds, asked.seconds, cores)
    rows = markdown(COLUMNS, [row(case, samples) for case in cases])
    text = f"{machine()}; {asked.rounds} rounds of {asked.seconds} s.\n\n{rows}"
    print(text)
    if asked.write:
        keep("How cost grows", text)


if __name__ == "__main__":
    main()
