"""The config server, killed with SIGKILL again and again while eight clients write: is anything lost or invented?

    python -m bench.kill [--rounds 100] [--keys 10000] [--write]

It stops with an AssertionError at the first write that was acknowledged and is gone, or is there and was never asked
for. The time to open runs from the start of the process until it listens, so Python's own start is in it.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from bench.results import keep, machine, markdown, spread  # noqa: E402
from tests.support.kill9 import WRITERS, Trial  # noqa: E402

COLUMNS = (
    "rounds",
    "keys",
    "writes acknowledged",
    "open when it was killed",
    "lost",
    "invented",
    "seconds to open",
)


def run(rounds: int, keys: int) -> tuple[str, ...]:
    """The row of the table. Raises AssertionError."""
    with tempfile.TemporaryDirectory() as folder, Trial(Path(folder), keys) as trial:
        for _ in range(rounds):
            trial.round()
        figures = (rounds, keys, trial.acknowledged, trial.open)
        return (*(f"{figure:,}" for figure in figures), "0", "0", spread(trial.openings, "{:.2f}"))


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="how often it is killed (%(default)s)")
    parser.add_argument(
        "--keys", type=int, default=10_000, help="in the store, of 18 bytes each (%(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="keep the table in bench/RESULTS.md")
    asked = parser.parse_args(argv)
    if asked.keys < WRITERS:
        parser.error(f"every writer has a key: at least {WRITERS}")
    return asked


def main(argv: list[str] | None = None) -> None:
    """Kills, checks and prints the table."""
    asked = flags(argv)
    text = f"{machine()}\n\n{markdown(COLUMNS, [run(asked.rounds, asked.keys)])}"
    print(text)
    if asked.write:
        keep("The config server under kill -9", text)


if __name__ == "__main__":
    main()
