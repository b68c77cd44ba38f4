"""One writer a key at a time: within a process nobody loses a comparison to a neighbour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from gevent.event import Event as Flag

from kv.errors import Unavailable


class Turns:
    """Whoever came first goes first; gevent's locks may let somebody pass who comes again."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Flag]] = {}

    @contextmanager
    def take(self, keys: Collection[str], seconds: float) -> Iterator[None]:
        """Inside, the turn of all `keys` is the caller's. Raises Unavailable after `seconds`."""
        until = time.monotonic() + seconds
        with ExitStack() as held:
            for key in sorted(set(keys)):  # in one order, so that no two wait for each other
                held.enter_context(self._one(key, until))
            yield

    @contextmanager
    def _one(self, key: str, until: float) -> Iterator[None]:
        """The first of the line has the turn."""
        line, mine = self._lines.setdefault(key, deque()), Flag()
        line.append(mine)
        try:
            if line[0] is not mine and not mine.wait(max(until - time.monotonic(), 0.0)):
                raise Unavailable("too many writers wait for this key", key=key)
            yield
        finally:
            self._leave(key, line, mine)

    def _leave(self, key: str, line: deque[Flag], mine: Flag) -> None:
        line.remove(mine)
        if line:
            line[0].set()
        else:
            del self._lines[key]
