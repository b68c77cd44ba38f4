"""What Serin holds in memory: for an idle client, and for large bodies with a slow receiver.

    python -m bench.memory [--idle 10000] [--count 20] [--size 4096] [--slow 10]

Idle clients have each had one answer. Of the bodies, `--count` go at once, first up and then down: the
receivers take 16 KiB every 20 ms for the first `--slow` seconds, while the senders would send it all, and
then everything as fast as it comes, to the last byte. Growth is that of resident memory; of the bodies, to
its peak (VmHWM): nothing between two looks escapes it. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import sys
import time

from bench.instance import Instance, instance
from bench.results import markdown
from tests.support.crowd import Crowd
from tests.support.memory import forget_peak, peak, resident
from tests.support.transfers import DIRECTIONS, MIB, Transfers

COLUMNS = ("what", "number", "seconds", "moved GiB", "RSS before MiB", "growth MiB", "growth KiB each")


def idle(target: Instance, count: int) -> tuple[str, ...]:
    """One row. Raises AssertionError when not all have been answered."""
    before, begun = resident(target.pid), time.monotonic()
    with Crowd(target.address, "idle", count) as crowd:
        crowd.wait_arrived(60)
        seconds, growth = time.monotonic() - begun, resident(target.pid) - before
    assert crowd.last == {"arrived": count, "gone": 0, "statuses": {"200": count}}, crowd.last
    return row("idle clients", count, seconds, 0, (before, growth))


def bodies(target: Instance, direction: str, asked: argparse.Namespace) -> tuple[str, ...]:
    """One row. Raises AssertionError when not all have arrived whole."""
    before, begun = forget_peak(target.pid), time.monotonic()
    size = asked.size * MIB
    with Transfers(target.address, direction, asked.count, size, slow=asked.slow, path="/large") as transfers:
        transfers.wait_ended(3600)
        seconds, growth = time.monotonic() - begun, peak(target.pid) - before
    assert not transfers.last["failures"], transfers.last
    return row(f"{direction}s", asked.count, seconds, transfers.last["bytes"], (before, growth))


def row(what: str, number: int, seconds: float, moved: int, memory: tuple[int, int]) -> tuple[str, ...]:
    """One line of the table; `moved` in bytes, and `memory`: before, and how much more."""
    before, growth = memory
    return (
        what,
        f"{number:,}",
        f"{seconds:.1f}",
        f"{moved / 2**30:.1f}",
        f"{before / MIB:.1f}",
        f"{growth / MIB:.1f}",
        f"{growth / 1024 / number:.1f}",
    )


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--idle", type=int, default=10_000, help="idle clients (%(default)s)")
    parser.add_argument("--count", type=int, default=20, help="bodies at once (%(default)s)")
    parser.add_argument("--size", type=int, default=4096, help="MiB of each body (%(default)s)")
    parser.add_argument("--slow", type=float, default=10, help="seconds of slowness (%(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table; each row from a proxy of its own, for memory once used is not given back."""
    asked = flags(argv)
    rows = []
    with instance() as target:
        print("idle clients", file=sys.stderr)
        rows.append(idle(target, asked.idle))
    for direction in DIRECTIONS:
        with instance(asked.slow) as target:
            print(f"{direction}s", file=sys.stderr)
            rows.append(bodies(target, direction, asked))
    print(markdown(COLUMNS, rows))


if __name__ == "__main__":
    main()
