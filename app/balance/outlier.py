"""When a server is ejected for what it did to requests, for how long, and how many may be at one time.

A state machine of values: a failure or an ejection makes a new Record out of the old. Successes are not told
one by one, since there are too many: what comes with a failure says how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from app.config.model import OutlierConfig

# The window moves on in so many steps.
_STEPS = 10

# An ejection is at most this many times as long as the first.
_LONGEST = 16


class Tally(NamedTuple):
    """A server's figures at a moment: failures since its last success, and all requests that ended."""

    in_a_row: int
    requests: int


class Mark(NamedTuple):
    """All that had ended at some moment, and what had failed of it."""

    at: float
    requests: int
    failures: int


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one server. Moments are seconds of a monotonic clock.

    `failures` counts all that were told. `marks`: the totals at the beginning of each step of the window that
    had a failure. `until`: the end of the ejection, this one or the last. `ejections`: how many followed each
    other closely.
    """

    failures: int = 0
    marks: tuple[Mark, ...] = ()
    until: float = 0.0
    ejections: int = 0


def failed(record: Record, tally: Tally, now: float, rule: OutlierConfig) -> Record:
    """One more failure; `tally` counts it already."""
    marks = tuple(mark for mark in record.marks if mark.at > now - rule.window)
    if not marks or marks[-1].at <= now - rule.window / _STEPS:
        marks += (Mark(now, tally.requests - 1, record.failures),)
    return replace(record, failures=record.failures + 1, marks=marks)


def too_bad(record: Record, tally: Tally, rule: OutlierConfig) -> bool:
    """Is the failure just recorded one too many?"""
    if rule.consecutive is not None and tally.in_a_row >= rule.consecutive:
        return True
    if rule.rate is None:
        return False
    since = record.marks[0]
    failures = record.failures - since.failures
    requests = max(tally.requests - since.requests, failures)
    return requests >= rule.min_requests and failures >= rule.rate * requests


def ejected(record: Record, now: float, rule: OutlierConfig) -> Record:
    """Eject until a time that doubles with each ejection; each time spent in service after one halves it again."""
    served = int((now - record.until) / rule.ejection) if record.ejections else 0
    ejections = max(0, record.ejections - served)
    seconds = rule.ejection * min(2**ejections, _LONGEST)
    return replace(record, marks=(), until=now + seconds, ejections=ejections + 1)


def may_eject(out: int, servers: int, rule: OutlierConfig) -> bool:
    """May one more of a version's servers be ejected while `out` of them are?"""
    # The share is a decimal number: 0.3 of 10 servers are 3, whatever floats make of it.
    return out + 1 <= rule.max_ejected * servers + 1e-9
