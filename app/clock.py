"""A coarse clock, and time limits without timers.

Whatever may take too long carries a `deadline` and is swept a few times a second; setting a limit is then
one addition and one store, however many requests a second are under way. A limit is never early, and at
most two periods late; more only where thousands pass at once.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import Protocol

import gevent

PERIOD = 0.25
NEVER = float("inf")

# So many limits are enforced, and so many seconds others have their turn: what a thousand clients at once have us
# do when their time is up would make everybody else wait.
AT_ONCE, TURN = 16, 0.002

log = logging.getLogger(__name__)


class Limited(Protocol):
    """Something with a time limit. `deadline` is in seconds of the clock; NEVER: no limit now."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed. Called in the sweeping greenlet; must not wait."""


class Clock:
    """`now` is the monotonic time in seconds, at most `period` old."""

    __slots__ = ("_greenlet", "_limited", "_period", "now")

    def __init__(self, period: float = PERIOD) -> None:
        self._period = period
        self.now = monotonic()
        self._limited: set[Limited] = set()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop; no deadline passes any more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def watch(self, thing: Limited) -> None:
        """Sweep `thing` from now on."""
        self._limited.add(thing)

    def forget(self, thing: Limited) -> None:
        """Sweep `thing` no more."""
        self._limited.discard(thing)

    def _run(self) -> None:
        while True:
            gevent.sleep(self._period)
            before, self.now = self.now, monotonic()
            self._sweep(before)

    def _sweep(self, before: float) -> None:
        late = [thing for thing in self._limited if thing.deadline < before]
        for number, thing in enumerate(late, 1):
            if (
                thing.deadline < before and thing in self._limited
            ):  # still so: others had their turn meanwhile
                self._expire(thing)
            if number % AT_ONCE == 0:
                gevent.sleep(TURN)

    def _expire(self, thing: Limited) -> None:
        thing.deadline = NEVER
        try:
            thing.expire()
        except Exception:
            log.exception("a time limit could not be enforced on %r", thing)
