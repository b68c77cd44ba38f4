"""Who serves by a document that has just been written, and how long that took.

An instance reports a moment after it has put a document in force, and says how long ago that was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent

from app.config.keys import KeyClient, Written
from app.pilot.instances import Instance, prefix, read

# Seconds between two looks, at least: many instances report at about the same time.
_PAUSE = 0.005
# And at most.
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Laggard:
    """An instance that does not serve by the document, and why. `final`: and it will not."""

    id: str
    name: str
    why: str
    final: bool


@dataclass(frozen=True, slots=True)
class Adoption:
    """`seconds`: since the write was sent; how long it took, or how long was waited for the laggards."""

    seconds: float
    instances: int
    laggards: tuple[Laggard, ...]

    @property
    def complete(self) -> bool:
        """Do all that live serve by it? Where none lives, nobody does."""
        return self.instances > 0 and not self.laggards

    def __str__(self) -> str:
        """A sentence without its begin: "applied by …"."""
        if not self.instances:
            return "applied by nobody: no instance reports"
        there, all_ = self.instances - len(self.laggards), "1 instance"
        if self.instances > 1:
            all_ = f"{self.instances} instances"
        taken = f"in {self.seconds * 1000:.0f} ms" if self.complete else f"after {self.seconds:.1f} s"
        behind = (f"{each.name} {each.why}" for each in self.laggards)
        return "; ".join([f"applied by {there} of {all_} {taken}", *behind])


def await_adoption(
    keys: KeyClient,
    service: str,
    written: Written,
    *,
    since: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Adoption:
    """Wait until every living instance serves by what was written, or a later document; `seconds` at most.

    `since`: when the write was sent, by `clock`. Raises ConfigServerError.
    """
    known: str | None = None
    took: dict[str, float] = {}
    found: tuple[Instance, ...] = ()
    while True:
        left = since + seconds - clock()
        listing = keys.scan(prefix(service), known, min(max(left, 0.0), _LONGEST_WAIT))
        if listing is not None:
            known, found = listing.etag, tuple(each for each in read(listing) if not each.draining)
        laggards = tuple(_laggard(each, written) for each in found if not _applies(each, written))
        passed = clock() - since
        applying = (each for each in found if _applies(each, written))
        took = {each.id: max(passed - each.applied, 0.0) for each in applying} | took
        if all(each.final for each in laggards) or passed >= seconds:
            return Adoption(passed if laggards else max(took.values(), default=passed), len(found), laggards)
        gevent.sleep(_PAUSE)


def _applies(instance: Instance, written: Written) -> bool:
    return instance.etag == written.etag or (instance.revision or 0) > written.revision


def _laggard(instance: Instance, written: Written) -> Laggard:
    rejected = instance.rejected
    if rejected and rejected.get("etag") == written.etag:
        faults = "; ".join(
            f"{place or 'document'}: {why}" for place, why in rejected.get("faults", {}).items()
        )
        return Laggard(instance.id, instance.name, f"rejects it: {faults}", final=True)
    why = f"is still at revision {instance.revision}" if instance.revision else "has no config yet"
    return Laggard(instance.id, instance.name, why, final=False)
