"""A server: its address, which never changes, and its load, which always does."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any


@dataclass(slots=True, eq=False)
class Load:
    """Live figures of one server URL. They outlive every config change, so there is one Load a URL.

    `in_flight` counts exchanges under way, `requests` and `failures` all since the process began.
    Whoever changes `available` tells the balancer by `refresh()`. `pool` belongs to the floor above.
    """

    in_flight: int = 0
    available: bool = True
    requests: int = 0
    failures: int = 0
    pool: Any = None


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
