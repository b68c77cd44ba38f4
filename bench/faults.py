"""Servers that fail, processes that are replaced and servers that come and go: what of it users notice.

    python -m bench.faults [--seconds 10] [--requests 20000] [--restarts 20] [--changes 500] [--only canary,down]

One line of the table for each thing that is asked; the exit status is 1 when one of them does not hold. Everything
stays on the loopback. docs/failures.md keeps the figures.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import sys  # noqa: E402
from functools import partial  # noqa: E402

from bench.failing import FAULTS, PROBES, all_down, canary, collapse, one_of_three  # noqa: E402
from bench.findings import table  # noqa: E402
from bench.renewals import changes, renewals, takeovers  # noqa: E402
from bench.results import machine  # noqa: E402
from bench.trials import Trial, chosen, tried_out  # noqa: E402

FRONTS = ("worker", "stock")
WORKERS = (1, 2)


def trials(asked: argparse.Namespace) -> dict[str, Trial]:
    """By name, as the table has them."""
    seconds, requests, restarts = asked.seconds, asked.requests, asked.restarts
    down = "all three servers killed"
    return {
        "canary": partial(canary, seconds),
        **{name: partial(one_of_three, fault) for name, fault in FAULTS.items()},
        "down": partial(all_down, {}, down, seconds / 2),
        "down-probed": partial(all_down, PROBES, f"{down}, with a probe each 250 ms", seconds / 2),
        "half": partial(collapse, requests, 0.0),
        "half-later": partial(collapse, requests, seconds),
        "restarts": partial(takeovers, restarts),
        **{
            f"hup-{front}-{count}": partial(renewals, front, count, restarts)
            for front in FRONTS
            for count in WORKERS
        },
        "servers": partial(changes, asked.changes),
    }


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=10, help="length of each constant load (%(default)s)"
    )
    parser.add_argument("--requests", type=int, default=20_000, help="while half of all fail (%(default)s)")
    parser.add_argument("--restarts", type=int, default=20, help="of each kind of process (%(default)s)")
    parser.add_argument("--changes", type=int, default=500, help="of servers (%(default)s)")
    parser.add_argument("--only", default="", help="names of lines, separated by commas; all without it")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Tries, and prints the table; the exit status."""
    asked = flags(argv)
    these = chosen(asked.only, trials(asked))
    findings = [tried_out(name, trial) for name, trial in these.items()]
    print(f"{machine()}\n\n{table(findings)}")
    return 0 if all(each.holds for each in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
