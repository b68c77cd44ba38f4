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

# Seconds that the budget looks back, and the second tries there may be in that time however few the requests are.
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

    def pause(self, failure: Failure, tries: int, rng: random.Random) -> float:
        """Seconds to wait after so many tries: exponential, with full jitter (M. Brooker, AWS, 2015).

        None after a failure that no server had to work for: there is nothing to give it time for.
        """
        if not failure.sent:
            return 0.0
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
    """How many second tries there may be: a share of the requests of the last WINDOW seconds, or FLOOR if that is more.

    The same holds for the last BURST seconds, and for all seconds together, but for times in which there was next
    to nothing to do. So whatever fails, servers never see more than 1 + share of what clients ask. What good times
    have saved, the share of BURST seconds at most, is lent to the failures that end them: many may fail at once, but
    what they take is not given on top. `tick` is called once a second with the count of all requests so far.
    """

    __slots__ = ("_counted_from", "_marks", "_saved", "_share", "_spent", "_unrefused")

    def __init__(self, share: float) -> None:
        self._share = share
        self._marks: deque[tuple[int, int]] = deque([(0, 0)], maxlen=WINDOW)
        self._counted_from = self._marks[0]
        self._spent = 0
        self._saved = 0.0
        self._unrefused = 0

    def adopt(self, share: float) -> None:
        """From now on it is this share; what a larger one has allowed is not owed."""
        if share < self._share:
            self._count_from(self._marks[-1])
        self._share = share

    def tick(self, requests: int) -> None:
        """A second has passed."""
        self._marks.append((requests, self._spent))
        oldest = self._marks[0]
        is_quiet = self._share * (requests - oldest[0]) < FLOOR
        # What the floor has allowed is not owed, but what was saved before is kept.
        if is_quiet and self._earned_until(oldest) < 0:
            self._count_from(oldest)
        self._unrefused += 1

    def take(self, requests: int, *, shield: bool = False) -> bool:
        """Take leave for one second try; False: there is none left.

        The shield's come as evenly as the canary's requests, and end late: they may be one ahead in all, and FLOOR in
        a window, or in all if so much was saved. Else a canary whose share is just that of the budget would not be
        shielded entirely.
        """
        if self._unrefused >= BURST:
            self._save(requests)
        if not self._has_room_everywhere(requests, shield):
            self._unrefused = 0
            return False
        self._spent += 1
        return True

    def _has_room_everywhere(self, requests: int, shield: bool) -> bool:
        ahead = 1 + min(self._saved, FLOOR) if shield else 0
        return self._has_room(requests, self._counted_from, ahead, self._saved) and all(
            self._has_room(requests, mark, FLOOR if shield else 0) for mark in self._recent()
        )

    def _save(self, requests: int) -> None:
        """Count from now on, unless something is owed; what was saved before is no more than an advance."""
        earned = self._earned_until((requests, self._spent))
        saved = self._saved + earned
        if earned < 0 or saved < FLOOR:
            return
        lately = requests - self._recent()[-1][0]
        self._count_from((requests, self._spent), min(saved, max(FLOOR, self._share * lately)))

    def _count_from(self, mark: tuple[int, int], saved: float = 0.0) -> None:
        self._counted_from = mark
        self._saved = saved

    def _recent(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the two windows begin."""
        return self._marks[0], self._marks[-min(BURST, len(self._marks))]

    def _earned_until(self, mark: tuple[int, int]) -> float:
        """By how much the share was more than what was spent; below 0 that is owed."""
        requests, spent = mark
        requests_before, spent_before = self._counted_from
        return self._share * (requests - requests_before) - (spent - spent_before)

    def _has_room(self, requests: int, mark: tuple[int, int], ahead: float, lent: float = 0.0) -> bool:
        requests_before, spent_before = mark
        allowed = max(FLOOR, lent, self._share * (requests - requests_before) + ahead)
        return self._spent - spent_before + 1 <= allowed
