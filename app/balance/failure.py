"""What may go wrong with one try of a request, in the words of the config document.

Knows the reasons that errors carry, never how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from app.config.model import Status
from app.errors import UpstreamError

KINDS = ("connect", "reset", "timeout")


@dataclass(frozen=True, slots=True)
class Failure:
    """`kind`: one of KINDS, or the status that was answered. `sent`: the server may have had some of the request."""

    kind: Status
    sent: bool = True


def failure(error: UpstreamError) -> Failure:
    """The failure behind an error that came instead of an answer's head."""
    if not error.sent:
        return Failure("connect", sent=False)
    return Failure("timeout" if error.status == 504 else "reset")


@lru_cache(16)
def expanded(given: tuple[Status, ...]) -> frozenset[Status]:
    """The same with all statuses of a class in the class's place. Most changes of the config leave them alone."""
    found: set[Status] = set()
    for each in given:
        if isinstance(each, str) and each.endswith("xx"):
            first = 100 * int(each[0])
            found |= set(range(first, first + 100))
        else:
            found.add(each)
    return frozenset(found)
