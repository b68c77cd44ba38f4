"""How often each may write: buckets that fill with time (token buckets). Pure but for the clock it is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from kv.errors import TooManyRequests

RATE, BURST = 20.0, 100.0


class Pacing:
    """`rate`: writes a second of each name; `burst`: how many at once after a rest."""

    def __init__(
        self, rate: float = RATE, burst: float = BURST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> None:
        """One write. Raises TooManyRequests, with Retry-After."""
        now = self._clock()
        left, since = self._buckets.get(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1:
            seconds = math.ceil((1 - left) / self._rate)
            raise TooManyRequests(
                f"a token may write {self._rate:g} times a second, and {self._burst:g} times at once",
                headers={"Retry-After": str(seconds)},
            )
        self._buckets[name] = (left - 1, now)
