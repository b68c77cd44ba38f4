"""Keeps the config in step with the config server, for as long as the process lives.

Two greenlets ask the same question, "is there anything but what I have?": the watch is told within
milliseconds, the poll asks every `update_rate` and so bounds whatever the watch misses. Nothing that the
config server does or fails to do takes the config in force away.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gevent
from gevent import Greenlet
from gevent.event import Event

from app.config.client import ConfigClient
from app.config.current import Apply, Current, Rejected, validated
from app.config.document import Document
from app.config.last_good import LastGood
from app.config.origin import split_origins
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError, InvalidConfig

log = logging.getLogger(__name__)

WATCH_WAIT = 30.0
# Back in step within 3 s of the config server's return, even when update_rate is an hour.
_LONGEST_BACKOFF = 2.5
_FIRST_BACKOFF = 0.05
Connect = Callable[[str], ConfigClient]


@dataclass(frozen=True, slots=True)
class RefreshState:
    """How fresh the config is. `source`: config_server, last_good, file, or None while nothing is in force.

    `age`: seconds since the config server last answered, None if it never did. `error`: why the last question
    got no answer. `moving`: the config server that the document names and that is not adopted yet, and why.
    `applied_at`: since when the config is in force, in seconds since the epoch.
    """

    etag: str | None
    revision: int | None
    source: str | None
    config_server: str
    age: float | None
    error: str | None
    rejected: Rejected | None
    missing: bool
    moving: str | None
    changes: int
    applied_at: float | None


class Refresher:
    """`connect(urls)` makes a client; `apply(config, document)` puts a config in force.

    `config_file` is the document to create at the very first start: when the config server has none, and this
    instance has never seen one (nothing in `last_good`). Raises ValueError when `urls` are no addresses.
    """

    def __init__(
        self,
        connect: Connect,
        urls: str,
        apply: Apply,
        last_good: LastGood,
        config_file: Path,
        *,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._client = connect(urls)
        self._current = Current(apply, wall_clock)
        self._last_good = last_good
        self._config_file = config_file
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, hides nothing
        self._clock = clock
        self._first: Document | None = None
        self._answered_at: float | None = None
        self._error: str | None = None
        self._unanswered: set[str] = set()
        self._moving: str | None = None
        self._moved_at = float("-inf")
        self._update_rate = 1.0
        self._sooner = Event()
        self._stopped = Event()
        self._candidate: ConfigClient | None = None
        self._greenlets: list[Greenlet[..., None]] = []

    def start(self) -> None:
        """Load the first config, within a few seconds whatever the config server does; then keep it fresh."""
        kept, first = self._last_good.read(), self._read_config_file()
        self._first = None if kept else first
        self._ask("poll", self._client.read)
        for document, source in ((kept, "last_good"), (first, "file")):
            if document and not self._current.config:
                self._current.fall_back(document, source)
        self._follow_update_rate()
        self._greenlets = [gevent.spawn(self._poll), gevent.spawn(self._watch)]

    def stop(self) -> None:
        """End both greenlets, within a few seconds even when the config server hangs; save what is unsaved."""
        self._stopped.set()
        self._sooner.set()
        for client in (self._client, self._candidate):
            if client:
                client.close()
        gevent.joinall(self._greenlets, timeout=3)
        gevent.killall(self._greenlets, block=False)
        self._last_good.flush(timeout=2)

    def state(self) -> RefreshState:
        current = self._current
        return RefreshState(
            etag=current.document.etag if current.document else None,
            revision=current.document.revision if current.document else None,
            source=current.source,
            config_server=",".join(self._client.urls),
            age=None if self._answered_at is None else self._clock() - self._answered_at,
            error=self._error,
            rejected=current.rejected,
            missing=current.missing,
            moving=self._moving,
            changes=current.changes,
            applied_at=current.applied_at,
        )

    def _poll(self) -> None:
        while not self._stopped.is_set():
            try:
                self._pause()
                self._ask("poll", self._client.read)
                self._consider_moving()
            except Exception:
                log.exception("a poll of the config server failed")

    def _pause(self) -> None:
        """Sleep for `update_rate` less up to a fifth: instances drift apart, and none is ever late."""
        share = self._rng.uniform(0.8, 1.0)
        while self._sooner.wait(self._update_rate * share) and not self._stopped.is_set():
            self._sooner.clear()

    def _watch(self) -> None:
        futile = 0
        while not self._stopped.is_set():
            began = self._clock()
            try:
                new = self._ask("watch", partial(self._client.watch, wait=WATCH_WAIT))
            except Exception:
                log.exception("a watch of the config server failed")
                new = False
            # An answer that is neither news nor waited for would have us ask in a tight circle.
            futile = 0 if new or self._clock() - began > WATCH_WAIT / 2 else futile + 1
            if futile:
                ceiling = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(futile, 10))
                self._stopped.wait(self._rng.uniform(0, ceiling))

    def _ask(self, who: str, question: Callable[[str | None], Document | None]) -> bool:
        """Put one question to the config server and take the answer in; True when it brought anything new."""
        ticket = self._current.ticket()
        try:
            document = question(ticket.etag)
        except ConfigMissing:
            self._note_answer(who)
            if self._first:
                self._create(self._first)
            else:
                self._current.miss(ticket)
        except ConfigServerError as fault:
            # A server that was left in the meantime may fail as it likes.
            if ticket == self._current.ticket() and not self._stopped.is_set():
                self._note_failure(who, str(fault))
        else:
            self._note_answer(who)
            if document is None:
                self._current.confirm(ticket)
            else:
                self._first = None
                self._current.offer(ticket, document)
            self._keep()
        return ticket != self._current.ticket()

    def _keep(self) -> None:
        """Called after every answer, so that a write that failed is made up for once the disk has room."""
        self._follow_update_rate()
        if self._current.document and self._current.source == "config_server":
            self._last_good.keep(self._current.document)

    def _follow_update_rate(self) -> None:
        if not self._current.config:
            return
        lowered = self._current.config.update_rate < self._update_rate
        self._update_rate = self._current.config.update_rate
        if lowered:
            self._sooner.set()

    def _note_answer(self, who: str) -> None:
        self._answered_at = self._clock()
        self._error = None
        if who in self._unanswered:
            self._unanswered.remove(who)
            log.info("the config server answers the %s again", who)

    def _note_failure(self, who: str, error: str) -> None:
        self._error = error
        if who not in self._unanswered:
            self._unanswered.add(who)
            log.warning("the config server does not answer the %s: %s", who, error)

    def _read_config_file(self) -> Document | None:
        try:
            raw = self._config_file.read_bytes()
            validated(raw)
        except (OSError, InvalidConfig) as fault:
            log.warning("first config %s cannot be used: %s", self._config_file, fault)
            return None
        return Document(raw, None, None, str(self._config_file))

    def _create(self, first: Document) -> None:
        """Create the document from the first config. Whoever lost that race takes the winner's next time."""
        ticket = self._current.ticket()
        try:
            document = self._client.create(first.raw)
        except ConfigConflict:
            document = None
        except ConfigServerError as fault:
            self._note_failure("poll", str(fault))
            return
        self._first = None
        if document:
            log.info("config document created from %s", self._config_file)
            self._current.offer(ticket, document)
            self._keep()
        else:
            self._ask("poll", self._client.read)

    def _consider_moving(self) -> None:
        """Once a round at most, so that two documents that name each other's server cost little."""
        wanted = self._current.config and self._current.config.config_server
        if not wanted or split_origins(wanted) == self._client.urls:
            self._moving = None
        elif not self._candidate and self._clock() - self._moved_at >= self._update_rate:
            self._candidate = self._connect(wanted)
            self._greenlets[2:] = [gevent.spawn(self._try_to_move, wanted, self._candidate)]

    def _try_to_move(self, wanted: str, candidate: ConfigClient) -> None:
        """In a greenlet of its own: a candidate that hangs must not delay the poll of the present server."""
        try:
            document = candidate.read()
            if document is None:
                raise ConfigServerError("answered 304 to an unconditional read")
            validated(document.raw)
            self._move(wanted, candidate, document)
        except (ConfigServerError, InvalidConfig) as fault:
            self._note_moving(f"{wanted}: {fault}")
        except Exception:
            log.exception("config server %s could not be tried", wanted)
        finally:
            self._candidate = None
            if candidate is not self._client:
                candidate.close()

    def _note_moving(self, moving: str) -> None:
        if moving != self._moving:
            log.warning("config server named in the document not adopted: %s", moving)
        self._moving = moving

    def _move(self, wanted: str, candidate: ConfigClient, document: Document) -> None:
        """Ask the candidate from now on, unless the config in force names another one by now."""
        if not self._current.config or self._current.config.config_server != wanted:
            return
        log.info("config server %s adopted", wanted)
        former, self._client = self._client, candidate
        self._moved_at, self._moving = self._clock(), None
        self._current.forget_server()
        self._current.offer(self._current.ticket(), document)
        self._keep()
        former.close()  # which ends the watch there; it goes on here
