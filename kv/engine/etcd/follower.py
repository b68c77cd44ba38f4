"""Follows what happens in etcd: reads everything once, then watches, and begins anew where a watch cannot go on.

The one writer of the replica, and the one source of the feed.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator

import gevent
from gevent import Greenlet
from gevent.event import Event as Flag

from kv.engine.etcd import versions
from kv.engine.etcd.gateway import RANGE, WATCH, Compacted, Gateway
from kv.engine.etcd.layout import Layout
from kv.engine.etcd.messages import Change, Message, Pair, Span, changes, look, number, pairs, revision, watch
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.replica import Missed, Replica
from kv.errors import CannotStart, KvError, Unavailable
from kv.model import Event, Reset

log = logging.getLogger(__name__)

PAGE_BYTES = 1024 * 1024
_FIRST_PAGE, _LARGEST_PAGE = 16, 1000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Follower:
    """`publish` is called with every event, in order, or with the error that no event follows."""

    def __init__(
        self,
        gateway: Gateway,
        layout: Layout,
        replica: Replica,
        pace: Pace,
        publish: Callable[[Event | KvError], None],
    ) -> None:
        self._gateway = gateway
        self._layout = layout
        self._replica = replica
        self._pace = pace
        self._publish = publish
        self._begun: list[Change] = []
        self._stale = True
        self._loaded = Flag()
        self._lost_at: float | None = None
        self._told = False
        self._watching = self._interrupted = self._ending = False
        self._greenlet: Greenlet[[], None] | None = None
        self.version = ""

    def start(self) -> None:
        """Read everything, if etcd is there; then follow. Raises CannotStart."""
        for _ in self._gateway.endpoints:
            member = self._gateway.member
            try:
                self._load()
                break
            except Unavailable as error:
                self._lose(error)
                self._gateway.leave(member)
        self._greenlet = Greenlet.spawn(self._run)

    def stop(self) -> None:
        """The gateway has to be closing, lest it tries on."""
        if self._greenlet is not None:
            self._ending = True
            self.move()
            self._greenlet.join()
            self._greenlet = None

    @property
    def connected(self) -> bool:
        return self._lost_at is None

    def discard(self) -> Flag:
        """Read everything anew; set when that is done."""
        if not self._stale:
            self._stale = True
            self.move()
        return self._loaded

    def move(self) -> None:
        """End the watch that is open, and go on wherever etcd answers.

        Whatever else the follower is about soon comes to an end by itself.
        """
        if self._watching and not self._interrupted and self._greenlet is not None:
            self._interrupted = True
            # An OSError, since that is what makes urllib3 close even a socket that is still connecting.
            self._greenlet.kill(ConnectionAbortedError("interrupted"), block=False)

    def renew(self) -> None:
        """Return when everything was read anew. Raises Unavailable."""
        if not self.discard().wait(self._pace.patience):
            raise Unavailable("etcd cannot be read")

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._ending:
            self._interrupted = False
            try:
                self._try_to_follow()
                pause = _FIRST_PAUSE if self.connected else min(2 * pause, _LONGEST_PAUSE)
                gevent.sleep(random.uniform(0, pause))  # noqa: S311  spreads load, hides nothing
            except CannotStart as error:
                log.critical("%s", error.detail)
                self._publish(error)
                return
            except ConnectionAbortedError:
                pass  # it was to end a watch that ended by itself
            except Exception:
                log.exception("etcd could not be followed")
                self._stale = True

    def _try_to_follow(self) -> None:
        """Until it cannot go on. Raises CannotStart."""
        member = self._gateway.member
        try:
            self._follow()
        except (Missed, Compacted) as error:
            log.warning("everything is read anew: %s", error)
            self._stale = True
        except Unavailable as error:
            if not self._interrupted:
                self._lose(error)
                self._gateway.leave(member)

    def _follow(self) -> None:
        """Never returns."""
        if self._stale:
            self._load()
            self._publish(Reset(self._replica.revision))
        self._begun.clear()
        self._watching = True
        try:
            start = self._replica.revision + 1
            for message in self._gateway.stream(WATCH, watch(self._layout.followed, start)):
                self._take(message)
        finally:
            self._watching = False
        raise Unavailable("etcd has ended the watch")

    def _take(self, message: Message) -> None:
        if message.get("canceled"):
            kind = Compacted if number(message, "compact_revision") else Unavailable
            raise kind(f"etcd has ended the watch {message.get('cancel_reason', '')}".strip())
        if message.get("created"):
            self._find()
        for change in changes(message):
            if self._begun and self._begun[0].pair.revision != change.pair.revision:
                self._finish()
            self._begun.append(change)
        # A fragment may end in the middle of a revision, a whole message never does.
        if self._begun and not message.get("fragment"):
            self._finish()

    def _finish(self) -> None:
        begun, self._begun = self._begun, []
        self._publish(self._replica.apply(begun[0].pair.revision, begun))

    def _load(self) -> None:
        self.version = self._gateway.version()
        versions.check(self.version)
        found: list[Pair] = []
        at = 0
        for answer in self._pages():
            at = at or revision(answer)
            found += pairs(answer)
        self._replica.load(found, at)
        self._stale = False
        loaded, self._loaded = self._loaded, Flag()
        loaded.set()

    def _pages(self) -> Iterator[Message]:
        """All that is followed, as of one revision, in pages of about PAGE_BYTES."""
        rest, limit, at = self._layout.followed, _FIRST_PAGE, 0
        while True:
            answer = self._gateway.read(RANGE, look(rest, limit=limit, at=at))
            yield answer
            if not answer.get("more"):
                return
            at = at or revision(answer)
            page = pairs(answer)
            rest = Span(page[-1].key + b"\0", rest.end)
            size = sum(len(pair.value) for pair in page) + 1
            limit = max(1, min(2 * limit, limit * PAGE_BYTES // size, _LARGEST_PAGE))

    def _find(self) -> None:
        if not self.connected:
            log.info("etcd is here again, at %s", self._gateway.endpoint)
        self._lost_at, self._told = None, False

    def _lose(self, error: KvError) -> None:
        if self._lost_at is None:
            log.warning("etcd is lost: %s", error.detail)
            self._lost_at = time.monotonic()
        if not self._told and time.monotonic() - self._lost_at > self._pace.grace:
            self._told = True
            self._publish(Reset(self._replica.revision))
