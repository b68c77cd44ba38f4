"""Servers that may take a request now, and how the next of them is chosen, by weight.

Every server here is available and has a weight of at least 1: filter first, then weigh the survivors.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from heapq import heapify, heapreplace
from itertools import accumulate, chain, cycle, repeat
from math import gcd, inf, lcm
from typing import NoReturn, Protocol

from app.balance.server import Server
from app.balance.sticky import Rendezvous
from app.errors import BalanceError

# So many turns are looked at in search of an idle server, before all servers are compared.
_LOOKS = 4

# More visitors than may be connected at the default limit; each takes about 200 bytes.
REMEMBERED = 2**14


class Balance(Protocol):
    """A way to choose among servers. `pick()` never fails: there is at least one of them."""

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None: ...

    def pick(self) -> Server: ...


def _cycle(weights: Sequence[int]) -> list[tuple[int, int]]:
    """When each server is first due in a cycle, and its period, as exact integers.

    A server of weight w is due w times a cycle, evenly spaced; the servers of one weight are offset against
    each other so that together they are evenly spaced as well.
    """
    alike, seen = Counter(weights), Counter[int]()
    length = lcm(*(2 * weight * count for weight, count in alike.items()))
    times = []
    for weight in weights:
        period = length // weight
        times.append(((2 * seen[weight] + 1) * period // (2 * alike[weight]), period))
        seen[weight] += 1
    return times


def _timetable(servers: Sequence[Server], rng: random.Random) -> list[tuple[int, int]]:
    """The next deadline of each server and the period between its deadlines.

    The start is drawn among all turns of a cycle, each as likely: however many restarts follow each other,
    every server gets its share and none is favoured. Deadlines that fall together come in the servers' order.
    """
    weights = [server.weight for server in servers]
    times, ends = _cycle(weights), list(accumulate(weights))
    drawn = rng.randrange(ends[-1])
    first = bisect(ends, drawn)
    due, period = times[first]
    start = due + (ends[first] - drawn) * period
    return [(_next(start + (index < first), *each), each[1]) for index, each in enumerate(times)]


def _next(start: int, due: int, period: int) -> int:
    return due - (due - start) // period * period


def _turns(servers: Sequence[Server], rng: random.Random) -> Iterator[Server]:
    """One full cycle: the earliest deadline first, and on a heap, so that a turn takes O(log n)."""
    turns = enumerate(zip(servers, _timetable(servers, rng), strict=True))
    heap = [(deadline, index, period, server) for index, (server, (deadline, period)) in turns]
    heapify(heap)
    weights = [server.weight for server in servers]
    for _ in range(sum(weights) // gcd(*weights)):
        deadline, index, period, server = heap[0]
        heapreplace(heap, (deadline + period, index, period, server))
        yield server


class RoundRobin:
    """In turn by weight: in each full cycle a server comes exactly `weight` times, evenly interleaved.

    The first cycle is worked out turn by turn; from then on it repeats itself, O(1).
    """

    __slots__ = ("pick",)

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        self.pick: Callable[[], Server] = cycle(_turns(servers, rng)).__next__


class Random:
    """By chance: each pick is a server with the probability of its share of the weights.

    A draw from as many tickets as the weights make, O(1).
    """

    __slots__ = ("_count", "_random", "_tickets")

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        unit = gcd(*(server.weight for server in servers))
        tickets = (repeat(server, server.weight // unit) for server in servers)
        self._tickets = list(chain.from_iterable(tickets))
        self._count = len(self._tickets)
        self._random = rng.random

    def pick(self) -> Server:
        return self._tickets[int(self._random() * self._count)]


class _Turn:
    """When a server is next due among equally busy ones."""

    __slots__ = ("deadline", "load", "period", "server", "weight")

    def __init__(self, server: Server, deadline: int, period: int) -> None:
        self.server, self.load, self.weight = server, server.load, server.weight
        self.deadline, self.period = deadline, period


class LeastConnections:
    """The least busy by in_flight / weight; equally busy ones in turn, by weight.

    Nobody is less busy than who is idle, so the first idle one in turn will do: O(1) while there are more
    servers than exchanges under way. Only when the next in turn are all busy, all are compared: O(n).
    """

    __slots__ = ("_clock", "_looks", "_next", "_turns")

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        table = _timetable(servers, rng)
        self._turns = [_Turn(server, *times) for server, times in zip(servers, table, strict=True)]
        self._clock = 0
        self._next = RoundRobin(servers, rng).pick
        self._looks = range(min(_LOOKS, len(servers)))

    def pick(self) -> Server:
        for _ in self._looks:
            server = self._next()
            if not server.load.in_flight:
                return server
        return self._least_busy()

    def _least_busy(self) -> Server:
        best, least = self._turns[0], inf
        for turn in self._turns:
            busy = turn.load.in_flight / turn.weight
            if busy < least or (busy == least and turn.deadline < best.deadline):
                best, least = turn, busy
        # Turns missed while busy are not made up for: else a server that was busy long would win every tie.
        self._clock = max(self._clock, best.deadline)
        best.deadline = self._clock + best.period
        return best.server


BALANCES: dict[str, type[Balance]] = {
    "round_robin": RoundRobin,
    "random": Random,
    "least_connections": LeastConnections,
}


def _refuse(*_: object) -> NoReturn:
    raise BalanceError("no server is available")


class Group:
    """Servers and the state of their rotation; falsy when there is none.

    `pick()` gives the next server by `balance`; `place(digest)` the server of the visitor with this digest,
    in O(1) for those who were here lately. Both raise BalanceError when there is none.
    """

    __slots__ = ("balance", "pick", "place", "servers")

    pick: Callable[[], Server]
    place: Callable[[int], Server]

    def __init__(self, servers: tuple[Server, ...], balance: str, rng: random.Random) -> None:
        self.servers = servers
        self.balance = balance
        if servers:
            self.pick = BALANCES[balance](servers, rng).pick
            place = Rendezvous(servers).place
            self.place = lru_cache(REMEMBERED)(place) if len(servers) > 1 else place
        else:
            self.pick = self.place = _refuse

    def __bool__(self) -> bool:
        return bool(self.servers)
