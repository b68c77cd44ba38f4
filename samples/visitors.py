"""Visitors for the demo: people come at a steady rate, ask for a few pages each, and go. Counts what they saw.

They only visit the loopback, at most MOST at a time, and come for LONGEST seconds at most.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

import gevent
from gevent import Greenlet
from gevent.pool import Pool

HOST = "127.0.0.1"
MOST = 100
LONGEST = 3600.0
PAGES = 10
# Seconds between two pages of one visitor, and until one gives up.
PAUSE, PATIENCE = 0.1, 10.0


@dataclass(slots=True)
class Tally:
    """What visitors saw so far: answers by version, and `errors`: 5xx, or no answer."""

    answers: Counter[str] = field(default_factory=Counter)
    errors: int = 0

    @property
    def requests(self) -> int:
        """All that have ended."""
        return self.answers.total() + self.errors


class Visitors:
    """`rate` requests a second to `port`, whatever the answers: each visitor makes PAGES of them on a connection.

    `pause` waits so many seconds. The sockets of http.client must be gevent's.
    """

    def __init__(self, port: int, rate: float, *, pause: Callable[[float], object] = gevent.sleep) -> None:
        self.tally = Tally()
        self._port, self._rate, self._pause = port, rate, pause
        self._inside = Pool(MOST)
        self._coming: Greenlet[[], None] | None = None

    def start(self) -> None:
        """From now on they come."""
        self._coming = gevent.spawn(self._come)

    def stop(self) -> None:
        """Nobody comes any more, and who is there leaves."""
        if self._coming is not None:
            self._coming.kill()
        self._inside.kill()

    def _come(self) -> None:
        began = time.monotonic()
        for number in range(int(LONGEST * self._rate / PAGES)):
            self._pause(max(0.0, began + number * PAGES / self._rate - time.monotonic()))
            self._inside.spawn(self.visit)

    def visit(self) -> None:
        """One visitor, from the first page to the last."""
        connection = HTTPConnection(HOST, self._port, timeout=PATIENCE)
        try:
            for _ in range(PAGES):
                self._look(connection)
                self._pause(PAUSE)
        finally:
            connection.close()

    def _look(self, connection: HTTPConnection) -> None:
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
            self.tally.errors += 1
            return
        if answer.status >= 500:
            self.tally.errors += 1
        else:
            self.tally.answers[answer.headers.get("X-Version", "nobody")] += 1
