"""Rollouts with every process there is: how soon a bad canary is taken back, and what comes of pilots that die.

    python -m bench.reaction [--repeats 5] [--kills 30] [--away 60] [--only slow,healthy]

One line of the table for each thing that is asked; the exit status is 1 when one of them does not hold. Canaries
are measured one after the other, with 500 requests a second; then pilots and config servers go, all at once, for
most of that is waiting. Everything stays on the loopback. docs/rollout.md keeps the figures.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from bench.change import share  # noqa: E402
from bench.findings import Finding, table  # noqa: E402
from bench.leaders import TAKEOVER, away, killed, takeovers  # noqa: E402
from bench.reactions import CASES, tried  # noqa: E402
from bench.results import machine  # noqa: E402
from bench.trials import Trial, chosen, tried_out  # noqa: E402

# So many rollouts go at once, each with its part of the kills.
ROLLOUTS = 3

# These do little else.
WAITING = ("killed", "leaders", "away")


def kills(number: int, folder: Path) -> Finding:
    """Of pilots that always come back."""
    parts = [part for each in range(ROLLOUTS) if (part := share(number, ROLLOUTS, each))]
    running = [gevent.spawn(killed, folder / str(seed), part, seed) for seed, part in enumerate(parts)]
    gevent.joinall(running, raise_error=True)
    faults = [fault for each in running for fault in each.value]
    return Finding(
        f"pilot killed {number} times in the middle of {len(parts)} rollouts",
        "each step once, no write lost, the ratio never above the step's",
        "; ".join(faults) or "all done, each step once, no write lost, no ratio above the step's",
        not faults,
    )


def leaders(repeats: int, folder: Path) -> Finding:
    """Of two pilots, the one that leads dies or freezes, and comes back."""
    seconds, faults = takeovers(folder, repeats, seed=1)
    return Finding(
        f"of two pilots the leader killed, or frozen and continued, {len(seconds)} times",
        f"the other leads within {TAKEOVER:g} s, one writes at a time, each step once",
        f"after {statistics.median(seconds):.1f} s (worst {max(seconds):.1f} s), "
        + ("; ".join(faults) or "one wrote at a time, each step once"),
        not faults and max(seconds) <= TAKEOVER,
    )


def absence(seconds: float, folder: Path) -> Finding:
    """Of the config server."""
    found = away(folder, seconds)
    return Finding(
        f"config server away for {seconds:g} s",
        "no request lost, shown as paused, goes on by itself",
        f"{found.lost} of {found.requests:,} requests lost, shown as {found.state}, "
        f"the next step {found.until:.1f} s after",
        found.lost == 0 and found.state == "paused",
    )


def trials(asked: argparse.Namespace) -> dict[str, Trial]:
    """By name, as the table has them."""
    reactions: dict[str, Trial] = {case.name: partial(tried, case, asked.repeats) for case in CASES}
    return reactions | {
        "killed": partial(kills, asked.kills),
        "leaders": partial(leaders, asked.repeats),
        "away": partial(absence, asked.away),
    }


def run(these: dict[str, Trial]) -> list[Finding]:
    """What is found of each: of the canaries alone on the machine, of the others at the same time."""
    findings = [tried_out(name, trial) for name, trial in these.items() if name not in WAITING]
    running = [gevent.spawn(tried_out, name, trial) for name, trial in these.items() if name in WAITING]
    gevent.joinall(running, raise_error=True)
    return findings + [each.value for each in running]


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.reaction", description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rollouts of each canary (%(default)s)")
    parser.add_argument("--kills", type=int, default=30, help="how often a pilot is killed (%(default)s)")
    parser.add_argument(
        "--away", type=float, default=60, help="seconds that the config server is gone (%(default)s)"
    )
    parser.add_argument("--only", default="", help="names of lines, separated by commas; all without it")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Tries, and prints the table; the exit status."""
    asked = flags(argv)
    findings = run(chosen(asked.only, trials(asked)))
    print(f"{machine()}\n\n{table(findings)}")
    return 0 if all(each.holds for each in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
