"""How long is waited for what, all in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. An election takes one or two with etcd's usual settings, and is to be waited for.

    `patience`: for an answer of etcd, whichever member gives it. `attempt`: until another member is asked. `lag`: how
    far the watch may be behind until everything is read anew. `grace`: without etcd, until those who wait are woken:
    they ask again, and hear that nothing is known. `audit`: between two comparisons of all that is in memory with etcd.
    """

    patience: float = 6.0
    attempt: float = 1.5
    lag: float = 2.0
    grace: float = 2.0
    audit: float = 5.0
