"""The five styles: how a request without an override comes to a server.

A style has `pick(facts)` for requests one by one and `place(digest)` for visitors who stick.
Both raise BalanceError when no server may take the request.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from app.balance.facts import Facts
from app.balance.group import Group
from app.balance.server import Server
from app.balance.sticky import threshold

_DIGITS = 18
_WHOLE = 10**_DIGITS


class Share:
    """How far the canary is towards its next request, from 0 to just below a whole one, exactly.

    It outlives config changes: however often they come, the canary's count over all requests stays within 1
    of the sum of the ratios in force. It starts anywhere, so that many instances do not move in step.
    """

    __slots__ = ("due",)

    def __init__(self, rng: random.Random) -> None:
        self.due = rng.randrange(_WHOLE)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a style may draw on. `canary` is the stable group while no canary server is available.

    `everyone()` gives the servers of both versions, balanced by the style itself; `digest` that of whoever
    sent the request, known or not.
    """

    stable: Group
    canary: Group
    everyone: Callable[[], Group]
    digest: Callable[[Facts], int]
    ratio: float
    share: Share
    rng: random.Random


class Style(Protocol):
    """One way to choose; built anew whenever the servers available change."""

    def __init__(self, choices: Choices) -> None: ...

    def pick(self, facts: Facts) -> Server: ...

    def place(self, digest: int) -> Server: ...


class _Split:
    """First the version, then a server of it. Visitors whose point is below the ratio are on the canary."""

    __slots__ = ("_below", "_canary", "_ratio", "_stable")

    def __init__(self, choices: Choices) -> None:
        self._stable, self._canary, self._ratio = choices.stable, choices.canary, choices.ratio
        self._below = threshold(choices.ratio)

    def place(self, digest: int) -> Server:
        return (self._canary if digest < self._below else self._stable).place(digest)


class Ratio(_Split):
    """The canary gets exactly its share, evenly spread: after n requests its count is within 1 of n·ratio.

    Bresenham's line: integers only, so nothing drifts. The ratio is the decimal number that was written.
    """

    __slots__ = ("_share", "_step")

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self._share = choices.share
        self._step = round(Decimal(repr(choices.ratio)).scaleb(_DIGITS))

    def pick(self, facts: Facts) -> Server:
        share = self._share
        due = share.due + self._step
        if due >= _WHOLE:
            share.due = due - _WHOLE
            return self._canary.pick()
        share.due = due
        return self._stable.pick()


class Chance(_Split):
    """Each request by chance, `ratio` of them to the canary."""

    __slots__ = ("_random",)

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self._random = choices.rng.random

    def pick(self, facts: Facts) -> Server:
        return (self._canary if self._random() < self._ratio else self._stable).pick()


class Hash(_Split):
    """By visitor, reproducible: who cannot be told apart by a key or a cookie is told apart by address."""

    __slots__ = ("_digest",)

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self._digest = choices.digest

    def pick(self, facts: Facts) -> Server:
        digest = self._digest(facts)
        facts.bucket = digest >> 108
        return self.place(digest)


class Everyone:
    """All servers of both versions as one group, which the style balances; the ratio is not used."""

    __slots__ = ("_pick", "place")

    def __init__(self, choices: Choices) -> None:
        group = choices.everyone()
        self._pick = group.pick
        self.place = group.place

    def pick(self, facts: Facts) -> Server:
        return self._pick()


STYLES: dict[str, type[Style]] = {
    "ratio": Ratio,
    "random": Chance,
    "hash": Hash,
    "round_robin": Everyone,
    "least_connections": Everyone,
}
# Those that give the canary its ratio.
BY_RATIO = ("ratio", "random", "hash")
