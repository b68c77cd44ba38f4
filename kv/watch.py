"""Who waits for which key, and waking them. Level-triggered: a watcher learns that there is something new, not what.

One hub for every engine, fed by its `feed()`. Knows when which key changed, but no values; no HTTP.
"""

from __future__ import annotations

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from gevent import Greenlet
from gevent.event import Event as Flag
from gevent.hub import Waiter

from kv.errors import TooManyWatchers, Unavailable, Unknown
from kv.journal import Journal
from kv.model import SCHEMAS, Commit, Event, Reset, prefixes

log = logging.getLogger(__name__)

WATCHERS = 5_000


class Watcher:
    """One waiting client: a pending flag, no queue, so a slow one gets the newest state and no backlog.

    `since`: the revision of the first change that the flag was set for.
    """

    __slots__ = ("_changed", "_waiter", "since")

    def __init__(self) -> None:
        self._changed = False
        self._waiter: Waiter[None] | None = None
        self.since = 0

    def wake(self, revision: int) -> None:
        if self._changed:
            return
        self.since, self._changed = revision, True
        if self._waiter is not None:
            self._waiter.hub.loop.run_callback(self._waiter.switch, None)

    def wait(self, seconds: float) -> bool:
        """Whether something changed since the last time this returned True, waiting at most `seconds`."""
        if not self._changed:
            self._park(seconds)
        changed, self._changed = self._changed, False
        return changed

    def _park(self, seconds: float) -> None:
        """Of one change a thousand watchers learn at once: gevent's Event and Timeout would take twice as long."""
        # A new one each time: what still comes to the one before, timer or change, wakes nobody.
        waiter: Waiter[None] = Waiter()
        self._waiter = waiter
        timer = waiter.hub.loop.timer(max(seconds, 0))
        timer.start(waiter.switch, None)
        try:
            waiter.get()
        finally:
            timer.close()
            self._waiter = None


class Hub:
    """`revision` is the newest this hub has heard of, and told its watchers; `journal` has the last ones.

    `epoch` is another one each time a server starts: what it said of revisions holds for its own journal only.
    """

    def __init__(self, limit: int = WATCHERS, journal: Journal | None = None) -> None:
        self._limit = limit
        self.journal = journal or Journal()
        self.epoch = secrets.token_hex(4)
        self._watchers: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._count = 0
        self._expected: dict[int, Flag] = {}
        self._follower: Greenlet[..., None] | None = None
        self._failure: Exception | None = None
        self.closing = False
        self.revision = 0
        self.commits = 0

    def start(self, revision: int, feed: Iterable[Event], on_failure: Callable[[], None]) -> None:
        """Follow `feed` from `revision` on. `on_failure` is called once should it break."""
        self.revision = revision
        self.journal.begin(revision)
        self._follower = Greenlet.spawn(self._follow, feed, on_failure)

    def release(self) -> None:
        """Let every watcher go; those who come later do not wait either."""
        self.closing = True
        self._wake_all(self.revision + 1)

    def stop(self) -> None:
        """Wait for the feed to end."""
        if self._follower is not None:
            self._follower.join()

    @property
    def watchers(self) -> int:
        return self._count

    @contextmanager
    def watch(self, topic: str) -> Iterator[Watcher]:
        """A watcher of a key, or of all keys under a prefix. Raises TooManyWatchers."""
        if self._count >= self._limit:
            raise TooManyWatchers(f"{self._limit} clients are waiting already")
        watcher = Watcher()
        self._watchers[topic].add(watcher)
        self._count += 1
        try:
            yield watcher
        finally:
            self._leave(topic, watcher)

    def _leave(self, topic: str, watcher: Watcher) -> None:
        self._count -= 1
        self._watchers[topic].discard(watcher)
        if not self._watchers[topic]:
            del self._watchers[topic]

    def until(self, revision: int) -> None:
        """Return when this hub has `revision`. Raises Unknown if it never will."""
        if self.revision < revision and self._failure is None:
            self._expected.setdefault(revision, Flag()).wait()
        if self.revision < revision:
            raise Unknown("the store failed after this write; it has probably happened")

    def check(self) -> None:
        """Raises Unavailable once the feed has broken."""
        if self._failure is not None:
            raise Unavailable("the store failed; the server has to start again")

    def _follow(self, feed: Iterable[Event], on_failure: Callable[[], None]) -> None:
        try:
            for event in feed:
                self._tell(event)
        except Exception as error:  # noqa: BLE001  without a feed nobody may be told a write is done
            log.critical("no more news from the store: %s", error)
            self._failure = error
            on_failure()
        self._meet(max(self._expected, default=0))

    def _tell(self, event: Event) -> None:
        self.revision = event.revision
        if isinstance(event, Commit):
            self.commits += 1
            changed = [item.key for item in event.changes if not item.key.startswith(SCHEMAS)]
            for key in changed:
                self.journal.add(event.revision, key)
            for topic in {topic for key in changed for topic in (key, *prefixes(key))}:
                self._wake(topic, event.revision)
        elif isinstance(event, Reset):
            self.journal.begin(event.revision)
            self._wake_all(event.revision)
        self._meet(event.revision)

    def _wake(self, topic: str, revision: int) -> None:
        for watcher in self._watchers.get(topic, ()):
            watcher.wake(revision)

    def _wake_all(self, revision: int) -> None:
        for topic in list(self._watchers):
            self._wake(topic, revision)

    def _meet(self, revision: int) -> None:
        """Let go the writers who wait for this hub to have `revision` or an older one."""
        for due in [due for due in self._expected if due <= revision]:
            self._expected.pop(due).set()
