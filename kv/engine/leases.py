"""How long the keys with a ttl have left, and the greenlet that ends them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent
from gevent import Greenlet

from kv.model import Commit

log = logging.getLogger(__name__)

PERIOD = 1.0


class Leases:
    """Calls `end` when there are keys that were `due` by the time it is given. Seconds all over, of `clock`.

    Which ones is to be asked when they are ended: until then a write may still give one of them more time.
    A key is ended one period after it is due: a process that stood still hears the clients who wrote in the
    meantime before it takes their keys away.
    """

    def __init__(
        self,
        end: Callable[[float], object],
        *,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._end = end
        self._period = period
        self._clock = clock
        self._ends: dict[str, float] = {}
        self._sweeper: Greenlet[[], None] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    def start(self) -> None:
        self._sweeper = Greenlet.spawn(self._run)

    def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.kill()
            self._sweeper = None

    def follow(self, commit: Commit) -> None:
        """Begin the time of every key with a ttl that the commit has written, be it with what was there."""
        for result in commit.results:
            item = result.item
            if item.version.ttl is not None and item.live:
                self._ends[item.key] = self._clock() + item.version.ttl
            else:
                self._ends.pop(item.key, None)

    def due(self, by: float) -> list[str]:
        return [key for key, end in self._ends.items() if end <= by]

    def _run(self) -> None:
        while True:
            before = self._clock()
            gevent.sleep(self._period)
            try:
                if self.due(before):
                    self._end(before)
            except Exception:
                log.exception("keys whose time is up could not be ended")
