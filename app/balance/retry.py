"""Which requests are tried again, after what pause, and how many of them at most.

Pure: the time, the count of requests and the draw of chance are passed in.
"""

from __future__ import annotations

import random
from collections import deque

from app.balance.failure import Failure, expanded
from app.config.model import Config, RetryConfig

# RFC 9110, 9.2.1 and 9.2.2. TRACE is safe too, but nobody's browser sends it.
SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS"))
IDEMPOTENT = SAFE | {b"TRACE", b"PUT", b"DELETE"}

# Seconds that the budget looks back, and the second tries that it always has room for in that time.
WINDOW = 10
FLOOR = 20

# It looks back so many seconds as well: what good times have saved must not all be spent at the begin of a collapse.
BURST = 2

# A pause is at most this many times as long as the first may be.
_LONGEST = 16


class RetryRule:
    """The document's `retry`, ready to be asked."""

    __slots__ = ("_attempts", "_backoff", "_methods", "_on")

    def __init__(self, config: RetryConfig) -> None:
        self._attempts = config.attempts
        self._on = expanded(config.on)
        self._methods = frozenset(method.encode() for method in config.methods)
        self._backoff = config.backoff or 0.0

    def allows(self, method: bytes, failure: Failure, tries: int) -> bool:
        """May a request that has had so many tries have another after this failure?"""
        if tries >= self._attempts or failure.kind not in self._on:
            return False
        return method in self._methods or not failure.sent

    def pause(self, tries: int, rng: random.Random) -> float:
        """Seconds to wait after so many tries: exponential, with full jitter (M. Brooker, AWS, 2015)."""
        return rng.uniform(0.0, self._backoff * min(2 ** (tries - 1), _LONGEST))


class ShieldRule:
    """The document's `shield`: which failures of the canary stable answers for."""

    __slots__ = ("_keyed", "_methods", "_on")

    def __init__(self, config: Config) -> None:
        self._methods = {"off": frozenset[bytes](), "safe": SAFE, "idempotent": IDEMPOTENT}[config.shield]
        self._keyed = config.shield == "idempotent"
        self._on = expanded(("connect", "reset", "timeout", *config.shield_on))

    def covers(self, method: bytes, has_key: bool, failure: Failure) -> bool:
        """`has_key`: the request has an Idempotency-Key, by which servers know it when it comes again."""
        if not self._methods or failure.kind not in self._on:
            return False
        return not failure.sent or method in self._methods or (self._keyed and has_key)


class Budget:
    """How many second tries there may be: a share of the requests of the last WINDOW seconds, and FLOOR.

    The same holds for the last BURST seconds. So whatever fails, servers see at most 1 + share of what clients
    ask. `tick` is called once a second with the count of all requests so far.
    """

    __slots__ = ("_marks", "_spent", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._marks: deque[tuple[int, int]] = deque([(0, 0)], maxlen=WINDOW)
        self._spent = 0

    def tick(self, requests: int) -> None:
        """A second has passed."""
        self._marks.append((requests, self._spent))

    def take(self, requests: int) -> bool:
        """Take leave for one second try; False: there is none left."""
        marks = self._marks
        if not all(self._has_room(requests, *mark) for mark in (marks[0], marks[-min(BURST, len(marks))])):
            return False
        self._spent += 1
        return True

    def _has_room(self, requests: int, requests_before: int, spent_before: int) -> bool:
        return self._spent - spent_before + 1 <= self.share * (requests - requests_before) + FLOOR
