"""A server: its address, which never changes, and its load, which always does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from app.balance.standing import WHOLE


@dataclass(slots=True, eq=False)
class Load:
    """Live figures of one server URL. They outlive every config change, so there is one Load a URL.

    `in_flight` counts exchanges under way, `requests` and `failures` all since the process began, `in_a_row`
    the failures since the last success. `down`: so say its probes. `tenths`: of its share, less than WHOLE
    while it starts slowly. Whoever changes one of these three tells the balancer by `refresh()`.
    `ejections` counts how often it was ejected. `pool` belongs to the floor above.
    `on_failure` is told of each failure, `on_free` of the end of each exchange, while anybody wants to know.
    """

    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    in_a_row: int = 0
    down: bool = False
    ejected: bool = False
    ejections: int = 0
    tenths: int = WHOLE
    pool: Any = None
    on_failure: Callable[[Load], None] | None = None
    on_free: Callable[[Load], None] | None = None

    @property
    def available(self) -> bool:
        """May it be chosen?"""
        return not (self.down or self.ejected)

    def fail(self) -> None:
        """Count a request that the server did not serve well."""
        self.in_a_row += 1
        if self.on_failure is not None:
            self.on_failure(self)


@dataclass(frozen=True, slots=True, eq=False)
class Server:
    """One address of a version. Two servers are the same only if they are one object.

    `weight` is its share among the servers beside it; 0 takes nothing.
    `seed` (64 bits) depends on the URL alone: a server keeps its visitors when its version is promoted.
    """

    url: str
    version: str
    weight: int
    load: Load
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        digest = blake2b(self.url.encode(), digest_size=8).digest()
        object.__setattr__(self, "seed", int.from_bytes(digest))
