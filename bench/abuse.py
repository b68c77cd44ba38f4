"""Serin under slow clients: what the others notice, and how long the slow ones stay.

    python -m bench.abuse [--rounds 3] [--seconds 12] [--rate 200] [--scale 1]

Well-behaved clients come at a constant rate (bench.pace) through a quiet round, and through one of each
attack, from before it begins until all attackers have been sent away. The proxy has one core to itself;
all else shares another. Attackers never close: the time until they are gone is that until the proxy has
closed their connections. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bench.instance import Instance, instance
from bench.pace import Pace
from bench.results import markdown
from tests.support.crowd import Crowd
from tests.support.processes import wait_until

MIB = 2**20
PATHS = {"slow_heads": "/", "slow_bodies": "/large", "slow_readers": f"/large?size={10 * MIB}"}
TOLD = {"slow_heads": "408", "slow_bodies": "408", "slow_readers": "200"}
ATTACKS = {
    "none": {},
    "slow heads": {"slow_heads": 1000},
    "slow bodies": {"slow_bodies": 200},
    "slow readers": {"slow_readers": 200},
    "all at once": {"slow_heads": 1000, "slow_bodies": 200, "slow_readers": 200},
}
# More open files than well-behaved clients account for: with fewer the attackers are counted one by one.
FEW = 50
COLUMNS = (
    "attack",
    "attackers",
    "p50 ms",
    "p99 ms",
    "worst ms",
    "p99 × quiet, best round (worst)",
    "failures",
    "gone after s",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one attack: what Pace reports, and seconds from the last arrival until all were gone."""

    pace: dict[str, Any]
    gone: float


def sample(target: Instance, attackers: dict[str, int], rate: float, seconds: float) -> Sample:
    """At least `seconds` long. Raises AssertionError when the attack is not as it should be, or does not end."""
    begun, before = time.monotonic(), target.files()
    with ExitStack() as crowds, Pace(target.address, rate) as pace:
        arriving = [
            crowds.enter_context(Crowd(target.address, kind, number, PATHS[kind], pause=1.0))
            for kind, number in attackers.items()
        ]
        for crowd in arriving:
            crowd.wait_arrived()
        arrived = time.monotonic()
        wait_until(lambda: target.files() < before + FEW, 60, what="the attackers' end", pause=0.1)
        wait_until(lambda: not target.crowded(), 60, what="the last attackers' end", pause=0.25)
        gone = time.monotonic() - arrived
        for kind, crowd in zip(attackers, arriving, strict=True):
            assert crowd.ask()["statuses"] == {TOLD[kind]: attackers[kind]}, (kind, crowd.ask())
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        return Sample(pace.stop(), gone)


def run(asked: argparse.Namespace) -> dict[str, list[Sample]]:
    """All rounds, the attacks taking turns."""
    samples: dict[str, list[Sample]] = {name: [] for name in ATTACKS}
    with instance() as target:
        for number in range(asked.rounds):
            for name, attackers in ATTACKS.items():
                print(f"round {number + 1} of {asked.rounds}: {name}", file=sys.stderr)
                scaled = {kind: max(1, round(count * asked.scale)) for kind, count in attackers.items()}
                samples[name].append(sample(target, scaled, asked.rate, asked.seconds))
    return samples


def row(name: str, samples: dict[str, list[Sample]], scale: float) -> tuple[str, ...]:
    """Medians over the rounds; the ratio is taken within each round."""
    own = samples[name]
    ratios = [
        mine.pace["p99_ms"] / quiet.pace["p99_ms"] for mine, quiet in zip(own, samples["none"], strict=True)
    ]
    p50, p99, worst = (
        statistics.median(each.pace[figure] for each in own) for figure in ("p50_ms", "p99_ms", "worst_ms")
    )
    return (
        name,
        f"{sum(ATTACKS[name].values()) * scale:,.0f}",
        f"{p50:.2f}",
        f"{p99:.2f}",
        f"{worst:.1f}",
        f"{min(ratios):.2f} ({max(ratios):.2f})",
        str(sum(each.pace["failures"] for each in own)),
        f"{statistics.median(each.gone for each in own):.1f}" if ATTACKS[name] else "–",
    )


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.abuse", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each has its turn (%(default)s)")
    parser.add_argument("--seconds", type=float, default=12, help="least length of each turn (%(default)s)")
    parser.add_argument("--rate", type=float, default=200, help="requests a second (%(default)s)")
    parser.add_argument("--scale", type=float, default=1, help="attackers, as a multiple (%(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    samples = run(asked)
    print(markdown(COLUMNS, [row(name, samples, asked.scale) for name in ATTACKS]))


if __name__ == "__main__":
    main()
