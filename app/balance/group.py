"""Servers that may take a request now, and how the next of them is chosen, by weight.

Every server here is available and has a weight of at least 1: filter first, then weigh the survivors.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from itertools import accumulate
from math import inf, lcm
from typing import NoReturn, Protocol

from app.balance.server import Server
from app.balance.sticky import Rendezvous
from app.errors import BalanceError


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


class RoundRobin:
    """In turn by weight: in each full cycle a server comes exactly `weight` times, evenly interleaved.

    Earliest deadline first; a pick is one step on a heap, O(log n).
    """

    __slots__ = ("_heap",)

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        turns = enumerate(zip(servers, _timetable(servers, rng), strict=True))
        self._heap = [(deadline, index, period, server) for index, (server, (deadline, period)) in turns]
        heapify(self._heap)

    def pick(self) -> Server:
        heap = self._heap
        deadline, index, period, server = heap[0]
        heapreplace(heap, (deadline + period, index, period, server))
        return server


class Random:
    """By chance: each pick is a server with the probability of its share of the weights."""

    __slots__ = ("_ends", "_last", "_random", "_servers", "_total")

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        self._servers = servers
        self._ends = list(accumulate(server.weight for server in servers))
        self._total = self._ends[-1]
        self._last = len(servers) - 1
        self._random = rng.random

    def pick(self) -> Server:
        return self._servers[bisect(self._ends, self._random() * self._total, 0, self._last)]


class _Turn:
    """When a server is next due among equally busy ones."""

    __slots__ = ("deadline", "load", "period", "server", "weight")

    def __init__(self, server: Server, deadline: int, period: int) -> None:
        self.server, self.load, self.weight = server, server.load, server.weight
        self.deadline, self.period = deadline, period


class LeastConnections:
    """The least busy by in_flight / weight; equally busy ones in turn, by weight. O(n)."""

    __slots__ = ("_clock", "_turns")

    def __init__(self, servers: Sequence[Server], rng: random.Random) -> None:
        table = _timetable(servers, rng)
        self._turns = [_Turn(server, *times) for server, times in zip(servers, table, strict=True)]
        self._clock = 0

    def pick(self) -> Server:
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

    `pick()` gives the next server by `balance`; `place(digest)` the server of the visitor with this digest.
    Both raise BalanceError when there is none.
    """

    __slots__ = ("balance", "pick", "place", "servers")

    pick: Callable[[], Server]
    place: Callable[[int], Server]

    def __init__(self, servers: tuple[Server, ...], balance: str, rng: random.Random) -> None:
        self.servers = servers
        self.balance = balance
        if servers:
            self.pick, self.place = BALANCES[balance](servers, rng).pick, Rendezvous(servers).place
        else:
            self.pick = self.place = _refuse

    def __bool__(self) -> bool:
        return bool(self.servers)
