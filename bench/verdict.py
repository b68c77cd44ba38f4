"""How often a healthy canary is rolled back, and how soon a bad one, by Serin's judge and by the rules of others.

    python -m bench.verdict [--runs 1000] [--jobs 1] [--only rollbacks,sticky] [--write]

Simulated traffic: 50 requests a second, of which 0.5 % fail and a tenth go to the canary, each by chance, where
nothing else is said; looked at each minute for an hour. The judge is the product's; of the others only the rules
are here, as their documentation tells them. Seeded: the same figures each time. Some minutes.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterable
from functools import partial
from math import inf, log, sqrt

from app.rollout.evidence import FAILURE_FACTORS, Bad, accuse, gains
from app.rollout.judge import Judge
from app.rollout.observed import Observed
from app.rollout.plan import Gates, Plan
from app.rollout.verdict import PASS, ROLLBACK
from app.rollout.wealth import RestartedWealth, log_sum
from bench.canaries import (
    FAILURES,
    Minute,
    Scenario,
    always,
    drift,
    first,
    later,
    outage,
    outcomes,
    ramp,
    reports,
)
from bench.crowds import SETTLING, Town, by_request, by_visitor
from bench.draws import binomial
from bench.latencies import Pace
from bench.repeat import Runs, When, cell, median, share
from bench.results import keep, machine, markdown
from bench.rivals import RULES

OURS = Plan()
BY_FAILURES = Plan(gates=Gates(slow=None))
# Armitage, McPherson and Rowe 1969: how often a test at 5 % is significant at one of so many looks at least.
PEEKING = {1: 0.05, 2: 0.083, 3: 0.107, 4: 0.126, 5: 0.142, 10: 0.193, 20: 0.248, 50: 0.320, 100: 0.374}

HEALTHY = (
    Scenario("healthy"),
    Scenario("healthy, shared outage of 5 min", failures=outage),
    Scenario("healthy, shared drift from 0.2 to 2 %", failures=drift),
    Scenario("healthy, 1 → 5 → 20 → 50 %, with that drift", failures=drift, ratio=ramp),
)
BAD = tuple(Scenario(f"canary fails ×{times}", always(times)) for times in (2, 5, 20))


def rolled_back(plan: Plan, seen: Iterable[Observed], seconds: float = 60) -> int | None:
    """The look at which ours rolls back."""
    return first(ROLLBACK, outcomes(plan, seen, seconds))


def race(scenario: Scenario, rng: random.Random) -> tuple[int | None, ...]:
    """When each rolls back: ours, and the rivals."""
    minutes = scenario.run(rng)
    return (rolled_back(OURS, reports(minutes)), *(rule(minutes) for rule in RULES.values()))


def rollbacks(runs: Runs) -> str:
    """Who is rolled back, rightly and wrongly, and by whom."""
    rows = [
        (scenario.name, *map(cell, zip(*runs.of(scenario.name, partial(race, scenario)), strict=True)))
        for scenario in (*HEALTHY, *BAD)
    ]
    return markdown(("rolled back (median minute)", "Serin, alpha 1 %", *RULES), rows)


def second_by_second(scenario: Scenario, rng: random.Random) -> tuple[int, int, int] | None:
    """Looked at each second: after how many, with how many requests and bad events of the canary."""
    seen = scenario.run(rng)
    at = rolled_back(OURS, reports(seen), 1)
    return at and (at, sum(each.canary for each in seen[:at]), sum(each.canary_failed for each in seen[:at]))


def caught(runs: Runs) -> str:
    """What it takes until a bad canary is found."""
    scenarios = [Scenario(f"×{times}, 50/s", always(times), looks=3600, requests=50) for times in (2, 5, 20)]
    scenarios.append(Scenario("20 % fail, 500/s", always(40), looks=60, requests=500))
    rows = []
    for scenario in scenarios:
        found = [
            each or (inf,) * 3 for each in runs.part(5).of(scenario.name, partial(second_by_second, scenario))
        ]
        medians = [median(column) for column in zip(*found, strict=True)]
        rows.append((scenario.name, *(f"{middle:,.0f}" if middle is not None else "–" for middle in medians)))
    return markdown(("canary", "seconds", "its requests", "its failures"), rows)


def from_the_beginning(minutes: list[Minute]) -> int | None:
    """The same bets without restarts: all of them made at the first event."""
    hypothesis, bets = accuse(1.0, FAILURE_FACTORS), [log(weight) for weight in FAILURE_FACTORS.values()]
    for number, minute in enumerate(minutes, 1):
        gain = gains(hypothesis, [Bad(minute.ratio, minute.canary_failed, minute.stable_failed)])
        bets = [bet + more for bet, more in zip(bets, gain, strict=True)]
        if log_sum(bets) >= -log(BY_FAILURES.alpha):
            return number
    return None


def turned(scenario: Scenario, begin: int, rng: random.Random) -> tuple[int | None, ...]:
    """How many minutes after it has turned bad it is found, by both kinds of bets."""
    minutes = scenario.run(rng)
    found = (rolled_back(BY_FAILURES, reports(minutes)), from_the_beginning(minutes))
    return tuple(each - begin if each and each > begin else None for each in found)


def late(runs: Runs) -> str:
    """A canary that is well at first."""
    rows = []
    for times, begin in ((2, 60), (2, 240), (5, 60), (5, 240)):
        scenario = Scenario(f"×{times} after {begin} min", later(times, begin), looks=begin + 120)
        both = runs.part(5).of(scenario.name, partial(turned, scenario, begin))
        rows.append((scenario.name, *map(cell, zip(*both, strict=True))))
    return markdown(("found (median minutes after)", "Serin", "all bets at the beginning"), rows)


def crowd(town: Town, rng: random.Random) -> tuple[int | None, ...]:
    """When it is rolled back: by first events of visitors, and by requests."""
    run = town.run(rng)
    found = rolled_back(OURS, by_visitor(town, run)), rolled_back(OURS, reports(by_request(town, run)))
    return found[0] and found[0] - SETTLING, found[1]


def sticky(runs: Runs) -> str:
    """Ten of 2,000 visitors make most of the failures."""
    towns = [Town("healthy"), Town("canary fails ×5", 5.0), Town("canary fails ×20", 20.0)]
    rows = [
        (town.name, *map(cell, zip(*runs.of(f"sticky {town.name}", partial(crowd, town)), strict=True)))
        for town in towns
    ]
    return markdown(("rolled back (median minute)", "by visitors", "by requests"), rows)


def passed(scenario: Scenario, rng: random.Random) -> int | None:
    """When it passes first."""
    return first(PASS, outcomes(BY_FAILURES, reports(scenario.run(rng))))


def crowd_passed(town: Town, everybody: bool, rng: random.Random) -> int | None:
    """The same, for visitors who stick."""
    return first(PASS, outcomes(BY_FAILURES, by_visitor(town, town.run(rng), everybody)))


def passes(runs: Runs) -> str:
    """How soon a good canary passes, and how often one that fails twice as often: the margin."""
    rows = []
    for ratio in (0.01, 0.1, 0.5):
        cells = []
        for times in (1, 2):
            scenario = Scenario(f"passes at {ratio}, ×{times}", always(times), ratio=always(ratio), looks=240)
            cells.append(cell(runs.part(4).of(scenario.name, partial(passed, scenario))))
        rows.append((f"{ratio:.0%}", *cells))
    return markdown(
        ("passes within 4 h (median minute)", "canary as good as stable", "canary fails ×2"), rows
    )


def risk_set(runs: Runs) -> str:
    """How often a canary that fails twice as often passes, by whom one takes to be at risk."""
    town = Town("margin", 2.0, unlucky=0, failures=FAILURES, minutes=120)
    rows = [
        (name, f"{share(runs.part(10).of('margin', partial(crowd_passed, town, everybody))):.0%}")
        for name, everybody in (("who sent a request", False), ("every bucket there is", True))
    ]
    return markdown(("at risk", "canary fails ×2, 2,000 visitors: passes within 2 h"), rows)


def slow(runs: Runs) -> str:
    """By the time to the response head."""
    paces = [Pace("as fast as stable", 1.0), Pace("25 % faster", 0.75)]
    paces += [Pace("10 % slower", 1.1), Pace("25 % slower", 1.25), Pace("twice as slow", 2.0)]
    rows = [
        (pace.name, cell(runs.of(pace.name, lambda rng, pace=pace: rolled_back(OURS, pace.reports(rng)))))
        for pace in paces
    ]
    return markdown(("canary", "rolled back (median minute)"), rows)


def false_alarm(w: float, rng: random.Random) -> int | None:
    """Of one gate alone: 3,000 bad events of a healthy canary, looked at after each fifth."""
    hypothesis = accuse(1.0, FAILURE_FACTORS)
    wealth = RestartedWealth.new(len(hypothesis.weights))
    for look in range(600):
        canary = binomial(rng, 5, w)
        wealth = wealth.after(gains(hypothesis, [Bad(w, canary, 5 - canary)]), 5)
        if wealth.log_total(hypothesis.weights) >= -log(OURS.alpha):
            return look
    return None


def type_one(runs: Runs) -> str:
    """Against alpha, with three standard errors."""
    most = OURS.alpha + 3 * sqrt(OURS.alpha * (1 - OURS.alpha) / runs.count)
    rows = [
        (f"{w:g}", f"{share(runs.of(f'type I at {w}', partial(false_alarm, w))):.1%}", f"{most:.1%}")
        for w in (0.01, 0.1, 0.5)
    ]
    return markdown(("w", "false alarms in 3,000 events", "alpha + 3 standard errors"), rows)


def split(rng: random.Random, minutes: list[Minute]) -> list[list[Minute]]:
    """The same traffic at three instances."""
    parts: list[list[Minute]] = [[], [], []]
    for minute in minutes:
        rest = minute[1:]
        for left, part in zip((3, 2, 1), parts, strict=True):
            own = tuple(binomial(rng, count, 1 / left) for count in rest)
            rest = tuple(count - mine for count, mine in zip(rest, own, strict=True))
            part.append(Minute(minute.ratio, *own))
    return parts


def merged(scenario: Scenario, rng: random.Random) -> float:
    """How far apart the evidence of three instances and of one is, at most."""
    minutes = scenario.run(rng)
    whole, parts = reports(minutes), [reports(part) for part in split(rng, minutes)]
    one, three, apart = Judge(OURS), Judge(OURS), 0.0
    for observed, *others in zip(whole, *parts, strict=True):
        one.look({"a": observed}, 60)
        three.look(dict(zip("abc", others, strict=True)), 60)
        apart = max(apart, abs(one.log_against - three.log_against))
    return apart


def merge(runs: Runs) -> str:
    """Three instances beside one."""
    apart = max(runs.part(10).of("merge", partial(merged, BAD[1])))
    return f"Evidence of three instances beside that of one with the same traffic: {apart:.0e} apart at most."


def significant(looks: int, rng: random.Random) -> int | None:
    """At which look a sum of normal draws is first significant at 5 %."""
    total = 0.0
    for look in range(1, looks + 1):
        total += rng.gauss()
        if abs(total) > 1.959964 * sqrt(look):
            return look
    return None


def peeking(runs: Runs) -> str:
    """A test at 5 % that is looked at again and again."""
    found: When = Runs(runs.count * 10, runs.jobs).of("peeking", partial(significant, max(PEEKING)))
    seen = {looks: sum(at is not None and at <= looks for at in found) / len(found) for looks in PEEKING}
    rows = [(str(looks), f"{known:.3f}", f"{seen[looks]:.3f}") for looks, known in PEEKING.items()]
    return markdown(("looks", "published", "simulated"), rows)


SECTIONS: dict[str, Callable[[Runs], str]] = {
    each.__name__: each
    for each in (rollbacks, caught, late, sticky, risk_set, passes, slow, type_one, merge, peeking)
}


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdict", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="of each scenario (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--only", default="", help=f"of {', '.join(SECTIONS)}; all without it")
    parser.add_argument("--write", action="store_true", help="keep the tables in bench/RESULTS.md")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Simulates, and prints the tables."""
    asked = flags(argv)
    wanted = asked.only.split(",") if asked.only else list(SECTIONS)
    if unknown := set(wanted) - set(SECTIONS):
        raise SystemExit(f"{', '.join(sorted(unknown))}: none of {', '.join(SECTIONS)}")
    parts = [f"{machine()}; {asked.runs:,} runs of each scenario."]
    for name in wanted:
        print(name, file=sys.stderr)
        parts.append(SECTIONS[name](Runs(asked.runs, asked.jobs)))
        print(f"\n{parts[-1]}", flush=True)
    if asked.write:
        keep("The verdict", "\n\n".join(parts))


if __name__ == "__main__":
    main()
