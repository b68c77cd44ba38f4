"""What this process counts: plain numbers, made into metrics only when somebody asks."""

from __future__ import annotations

import time
from collections import Counter

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})


class Figures:
    """`requests` by method and status, `writes` by the name of the token; `since`: seconds since the epoch."""

    def __init__(self) -> None:
        self.since = time.time()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.writes: Counter[str] = Counter()

    def count(self, method: str, status: int, token: str) -> None:
        """One request that was answered."""
        known = method if method in METHODS else "other"
        self.requests[known, status] += 1
        if token and status < 400 and known not in ("GET", "HEAD"):
            self.writes[token] += 1
