"""What the proxy counts: plain ints, added to on the hot path and read by whoever wants to know.

All figures only grow, so figures of several processes merge by addition.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds in seconds of the buckets for the time to the response head: 0.25 ms to 64 s, a factor of √2 each.
BOUNDS = tuple(0.00025 * 2 ** (step / 2) for step in range(37))


@dataclass(slots=True, eq=False)
class VersionStats:
    """Figures of one version. `answered[n]` counts responses with status nxx; `buckets` has one more than BOUNDS.

    All but the last are of first tries: a request is the business of the version it was given to, whoever
    answered it. `failures` counts, by reason, exchanges that a server did not complete; `aborts` those that the
    client left; `spared`, by what was done, failed first tries whose client got a good answer all the same.
    """

    answered: list[int] = field(default_factory=lambda: [0] * 10)
    failures: dict[str, int] = field(default_factory=dict)
    aborts: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    spared: dict[str, int] = field(default_factory=lambda: {"retry": 0, "shield": 0, "rescue": 0})

    def answer(self, status: int, seconds: float) -> None:
        """Count a response whose head came after `seconds`."""
        self.answered[status // 100] += 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def fail(self, reason: str) -> None:
        """Count an exchange that a server did not complete."""
        self.failures[reason] = self.failures.get(reason, 0) + 1


@dataclass(slots=True, eq=False)
class Stats:
    """Figures of one process. `refused` counts, by reason, the answers of our own instead of a server's.

    `tries` counts tries beyond the first by what they are for, and those that the budget did not allow;
    `again` has the figures of all these. `versions` has no requests that an override sent; `apart` has those.
    """

    versions: dict[str, VersionStats] = field(
        default_factory=lambda: {"stable": VersionStats(), "canary": VersionStats()}
    )
    apart: dict[str, VersionStats] = field(
        default_factory=lambda: {"stable": VersionStats(), "canary": VersionStats()}
    )
    choices: dict[str, int] = field(
        default_factory=lambda: {"override": 0, "sticky": 0, "style": 0, "rescue": 0}
    )
    tries: dict[str, int] = field(
        default_factory=lambda: {"retry": 0, "shield": 0, "rescue": 0, "over_budget": 0}
    )
    again: VersionStats = field(default_factory=VersionStats)
    refused: dict[str, int] = field(default_factory=dict)
    connections: int = 0

    @property
    def requests(self) -> int:
        """All that were given to a server."""
        return sum(self.choices.values())

    def refuse(self, reason: str) -> None:
        """Count a request turned away."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
