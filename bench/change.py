"""A change beside others': how long until it is in effect, and what is lost on the way.

    python -m bench.change [--changes 500] [--rounds 5] [--instances 1,10,100] [--only Serin,Envoy] [--write]

Each change gives all requests to the other version, by the way that each proxy has for changes while it
serves. Its time runs from just before it is sent to the first answer by that version, to a client that stays
on its connection for as long as it is open. Of many Serins it runs to the moment at which the last put the
new config in force, as their logs have it; then each is seen to answer by it. Asking a hundred in turn would
take longer than what is measured.

All this under a gentle load, on the first instance, of which every lost request counts (bench.clients says
what is lost). A proxy has one core to itself, everything else shares another; many Serins need both, and
stand in each other's way as they would not on machines of their own. The proxies take turns, round by
round. Everything stays on the loopback.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from subprocess import CalledProcessError

import gevent

from bench.changers import PORTS, Changer, changers
from bench.clients import Client, Clients
from bench.instance import confined_to, cores
from bench.peers import SERVERS, Site
from bench.results import PAGE, keep, machine, markdown
from tests.support.processes import answers, free_port

COLUMNS = (
    "proxy",
    "version",
    "instances",
    "changed by",
    "changes",
    "median ms",
    "p99 ms",
    "worst ms",
    "requests",
    "lost",
)
METHOD = """\
What `python -m bench.change` measures: the time from a change that gives all requests to the other version to
the first answer by it, to a client that stays on its connection for as long as it is open; of many Serins, to
that of the last. The load beside it is 16 clients with 10 ms between answer and request, on the first instance;
lost is what got another status than 200 or no whole answer, but not what found its connection closed before
it was sent.

One proxy has one core to itself, everything else shares another; of 10 and of 100 Serins all share both, with
the load, the servers and the config server. The proxies take turns, round by round; percentiles are over all
changes."""
# The load: so many clients, so many seconds between an answer and the next request.
CLIENTS, PAUSE = 16, 0.01
# Seconds from one change's effect to the next change.
REST = 0.05
# Seconds that many instances have to themselves before their logs are looked at.
SETTLED = 0.5


@dataclass(slots=True)
class Outcome:
    """Of all rounds: seconds for each change, the load's requests and those lost; `missing`: why it did not run."""

    seconds: list[float] = field(default_factory=list)
    requests: int = 0
    lost: int = 0
    missing: str = ""


def turn(changer: Changer, site: Site, both: tuple[int, int], changes: int, outcome: Outcome) -> None:
    """One proxy's part of one round. Raises AssertionError, OSError when it does not do what it should."""
    with (
        changer.start(site, both) as addresses,
        Clients(addresses[0], CLIENTS, PAUSE) as load,
        ExitStack() as stack,
    ):
        load.wait_begun()
        askers = [stack.enter_context(closing(Client(address))) for address in addresses]
        assert {asker.ask() for asker in askers} == {"stable"}, "not all begin with stable"
        for version in islice(cycle(("canary", "stable")), changes):
            send = partial(changer.send, site, version)
            if changer.noted is None:
                outcome.seconds.append(effect(send, askers[0], version))
            else:
                outcome.seconds.append(effect_on_many(send, partial(changer.noted, site), askers, version))
            gevent.sleep(REST)
    outcome.requests += load.last["requests"]
    outcome.lost += load.last["lost"]


def effect(send: Callable[[], None], asker: Client, version: str, deadline: float = 10.0) -> float:
    """Seconds from sending the change to an answer by `version`.

    Raises AssertionError when that takes longer than `deadline` seconds, and what `send` raises.
    """
    begun = time.monotonic()
    sending = gevent.spawn(send)
    gevent.sleep(0)  # sent, before anybody asks
    while asker.ask() != version:
        assert time.monotonic() < begun + deadline, f"{version} does not answer"
        if sending.ready():
            sending.get()
        gevent.sleep(0)
    seconds = time.monotonic() - begun
    sending.get()
    return seconds


def effect_on_many(
    send: Callable[[], None], noted: Callable[[], list[float]], askers: list[Client], version: str
) -> float:
    """Seconds from sending the change to the last of the moments that are `noted`, in Unix time.

    Raises AssertionError when one of them does not answer by `version` then, and what `send` raises.
    """
    begun = time.time()
    send()
    gevent.sleep(SETTLED)
    moments = noted()
    assert len(moments) == len(askers)
    assert {asker.ask() for asker in askers} == {version}, f"not all answer by {version}"
    return max(moments) - begun


def attempt(changer: Changer, both: tuple[int, int], changes: int, outcome: Outcome) -> None:
    """A turn in a folder of its own, before servers of its own; a failure is shown, and kept."""
    with tempfile.TemporaryDirectory() as name:
        site = Site({port: free_port() for port in PORTS}, Path(name))
        site.lay(SERVERS.config)
        ready = answers(f"http://127.0.0.1:{site.ports['canary']}/")
        try:
            with SERVERS.process(site, both[1], SERVERS.arguments, ready):
                turn(changer, site, both, changes, outcome)
        except (AssertionError, OSError, CalledProcessError) as error:
            print(error, file=sys.stderr)
            outcome.missing = str(error).splitlines()[0]


def run(chosen: list[Changer], rounds: int, changes: int) -> list[Outcome]:
    """All rounds, the proxies taking turns."""
    outcomes = [Outcome(missing="" if changer.peer.path() else "not installed") for changer in chosen]
    both = cores()
    with confined_to(both[1]):
        for number in range(rounds):
            for changer, outcome in zip(chosen, outcomes, strict=True):
                if not outcome.missing:
                    told = f"{changer.name}, instances: {changer.instances}"
                    print(f"round {number + 1} of {rounds}: {told}", file=sys.stderr)
                    attempt(changer, both, share(changes, rounds, number), outcome)
    return outcomes


def share(whole: int, parts: int, number: int) -> int:
    """What part `number` has when the whole is dealt out: 7 in 3 parts are 3, 2, 2."""
    return whole // parts + (number < whole % parts)


def row(changer: Changer, outcome: Outcome) -> tuple[str, ...]:
    """One line of the table; percentiles over the changes of all rounds."""
    known = (changer.name, changer.peer.version_text(), str(changer.instances))
    if outcome.missing:
        return (*known, outcome.missing, *("–",) * (len(COLUMNS) - len(known) - 1))
    milliseconds = sorted(each * 1000 for each in outcome.seconds)
    return (
        *known,
        changer.mechanism,
        str(len(milliseconds)),
        *(f"{quantile(milliseconds, part):.1f}" for part in (0.5, 0.99, 1)),
        f"{outcome.requests:,}",
        str(outcome.lost),
    )


def quantile(ordered: list[float], part: float) -> float:
    """The least of them that so great a part does not exceed."""
    return ordered[math.ceil(part * len(ordered)) - 1]


def flags(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.change", description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=500, help="of each proxy (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that they are spread over (%(default)s)")
    parser.add_argument("--instances", default="1,10,100", help="numbers of Serins (%(default)s)")
    parser.add_argument("--only", default="", help="names of proxies, separated by commas; all without it")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {PAGE.name}")
    return parser.parse_args(argv)


def chosen(names: str, instances: str) -> list[Changer]:
    """The proxies with these names, all when there are none. Raises SystemExit for a name that none has."""
    known = changers([int(number) for number in instances.split(",")])
    wanted = {name.strip().lower() for name in names.split(",") if name}
    if strange := wanted - {changer.name.lower() for changer in known}:
        raise SystemExit(f"{', '.join(strange)}: none of {', '.join({changer.name: 0 for changer in known})}")
    return [changer for changer in known if not wanted or changer.name.lower() in wanted]


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    asked = flags(argv)
    these = chosen(asked.only, asked.instances)
    outcomes = run(these, min(asked.rounds, asked.changes), asked.changes)
    table = markdown(COLUMNS, [row(*each) for each in zip(these, outcomes, strict=True)])
    print(table)
    if asked.write:
        keep("Change to effect", f"{machine()}.\n\n{METHOD}\n\n{table}")


if __name__ == "__main__":
    main()
