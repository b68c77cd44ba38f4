"""How long the config server's hub keeps waiting whoever is ready to run, before streams and writers.

    python -m bench.lag [--seconds 30] [--streams 1000] [--write]

64 clients write to 64 keys without a pause, and all streams watch another key, which changes ten times a second. The
lag is the server's own figure, `kv_hub_lag_seconds`. The server has one core to itself, the load another; everything
stays on the loopback.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

from bench.instance import confined_to, cores
from bench.kv import Watchers, ask, wrk_command
from bench.measure import read_report
from bench.results import keep, machine, markdown, spread
from bench.stores import SERIN
from tests.support.processes import fetch
from tests.support.raw import Address

WRITERS, PERIOD = 64, 0.1
COLUMNS = ("streams", "writers", "writes/s", "lag p50 ms", "p99", "most", "ms to the last stream", "looks")
_BUCKET = re.compile(r'^kv_hub_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


def buckets(address: Address) -> dict[float, float]:
    """How often the lag was at most so many seconds, so far."""
    text = fetch("GET", f"http://{address[0]}:{address[1]}/-/metrics").text
    return {float(bound): float(count) for bound, count in _BUCKET.findall(text)}


def at_most(counts: Mapping[float, float], share: float) -> str:
    """The bound, in milliseconds, that so much of all is within."""
    bounds, totals = zip(*sorted(counts.items()), strict=True)
    bound = bounds[bisect_left(totals, share * totals[-1])]
    return f"≤ {bound * 1e3:g}"


def run(seconds: int, streams: int) -> tuple[str, ...]:
    """The row of the table. Raises AssertionError when a stream is not told in time."""
    core, other = cores()
    with (
        confined_to(other),
        tempfile.TemporaryDirectory() as name,
        SERIN.running(Path(name), core) as (_, address),
    ):
        ask(address, SERIN.requests["write"], "0" * 16)
        with Watchers(address, SERIN, streams) as crowd:
            return measure(crowd, address, seconds, streams)


def measure(crowd: Watchers, address: Address, seconds: int, streams: int) -> tuple[str, ...]:
    """The row, from the load to its end."""
    before, times = buckets(address), []
    command = wrk_command(address, SERIN.requests["write"], (seconds, WRITERS))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        while load.poll() is None:
            begun = time.monotonic()
            times.append(crowd.change(time.time_ns() // 1000) * 1e3)
            time.sleep(max(begun + PERIOD - time.monotonic(), 0.0))
        assert load.stdout is not None
        report = read_report(load.stdout.read())
    counts = {bound: count - before[bound] for bound, count in buckets(address).items()}
    return (
        f"{streams:,}",
        str(WRITERS),
        f"{report.requests / report.seconds:,.0f}",
        *(at_most(counts, share) for share in (0.5, 0.99, 1.0)),
        spread(times, "{:.0f}"),
        f"{counts[float('inf')]:,.0f}",
    )


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.lag", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30, help="length of the load (%(default)s)")
    parser.add_argument("--streams", type=int, default=1000, help="of one key (%(default)s)")
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    text = f"{machine()}\n\n{markdown(COLUMNS, [run(asked.seconds, asked.streams)])}"
    print(text)
    if asked.write:
        keep("How long the config server's hub keeps waiting", text)


if __name__ == "__main__":
    main()
