"""How long whoever is ready to run has to wait for a turn: the lag of gevent's hub, as a histogram."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable

import gevent
from gevent import Greenlet

PERIOD = 0.1
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Lag:
    """`buckets` count by BOUNDS (seconds), with one more for what lies above; `seconds` is the sum."""

    def __init__(self, period: float = PERIOD, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._greenlet: Greenlet[[], None] | None = None
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def start(self) -> None:
        self._greenlet = Greenlet.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def _run(self) -> None:
        while True:
            due = self._clock() + self._period
            gevent.sleep(self._period)
            self.add(max(self._clock() - due, 0.0))
