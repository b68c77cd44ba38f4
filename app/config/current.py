"""The config in force, and what is known of the documents that are not.

A document is put in force only when it is valid and newer than what was known when it was asked for; one that
is not leaves everything as it was and is remembered with its faults. Knows nothing of how documents arrive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gevent import get_hub
from gevent.lock import RLock

from app.config.document import ABSENT, Document
from app.config.model import Config
from app.config.schema import parse
from app.errors import InvalidConfig

log = logging.getLogger(__name__)

_INLINE = 16 * 1024
Apply = Callable[[Config, Document], None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that was not put in force: `at` is seconds since the epoch; `faults` as in InvalidConfig."""

    etag: str | None
    at: float
    faults: Mapping[str, str]


class Ticket(NamedTuple):
    """What was known when a question was asked: the answer counts only if nothing was learnt meanwhile.

    ETags have no order, so this is what keeps a late answer of the poll from undoing what the watch brought.
    """

    number: int
    etag: str | None


class Current:
    """`apply(config, document)` puts a config in force, or raises and changes nothing."""

    def __init__(self, apply: Apply, wall_clock: Callable[[], float]) -> None:
        self._apply = apply
        self._wall_clock = wall_clock
        self._lock = RLock()
        self._learnt = 0
        self._seen: str | None = None
        self.config: Config | None = None
        self.document: Document | None = None
        self.source: str | None = None
        self.rejected: Rejected | None = None
        self.missing = False
        self.changes = 0
        self.applied_at: float | None = None

    def ticket(self) -> Ticket:
        return Ticket(self._learnt, self._seen)

    def forget_server(self) -> None:
        """From now on another config server is asked: what is under way does not count any more."""
        self._learn(None)

    def confirm(self, ticket: Ticket) -> None:
        """The config server still has the document with the ticket's ETag."""
        if self._holds(ticket) and self.document and self.document.etag == ticket.etag:
            self.source = "config_server"

    def offer(self, ticket: Ticket, document: Document) -> bool:
        """Put the config server's document in force; False when it is stale, known or rejected."""
        with self._lock:
            if not self._holds(ticket) or document.etag == ticket.etag:
                return False
            self._learn(document.etag)
            self.missing = False
            if self.document and self.document.etag == document.etag:
                self.source, self.rejected = "config_server", None
                return True
            return self._put_in_force(document, "config_server")

    def miss(self, ticket: Ticket) -> None:
        """The config server has no document: what is in force stays."""
        with self._lock:
            if self._holds(ticket) and not self.missing:
                self._learn(ABSENT)
                self.missing = True
                self.rejected = None
                log.warning("the config server has no document under the key; the config in force stays")

    def fall_back(self, document: Document, source: str) -> bool:
        """Put a document of our own disk in force, for as long as the config server has nothing better."""
        with self._lock:
            known_fault = self.rejected
            done = self._put_in_force(document, source)
            self.rejected = known_fault
            if done and self._seen is None:
                self._learn(document.etag)
            return done

    def _holds(self, ticket: Ticket) -> bool:
        return ticket.number == self._learnt

    def _learn(self, etag: str | None) -> None:
        self._learnt += 1
        self._seen = etag

    def _put_in_force(self, document: Document, source: str) -> bool:
        try:
            config = validated(document.raw)
            self._apply(config, document)
        except InvalidConfig as fault:
            log.warning("config document %s rejected: %s", document.etag or document.url, fault)
            return self._reject(document, fault.faults)
        except Exception:
            log.exception("config document %s could not be put in force", document.etag or document.url)
            return self._reject(document, {"": "could not be put in force; the log says why"})
        self.config, self.document, self.source, self.rejected = config, document, source, None
        self.changes += 1
        self.applied_at = self._wall_clock()
        log.info("config %s in force, from %s", document.etag or document.url, source)
        return True

    def _reject(self, document: Document, faults: Mapping[str, str]) -> bool:
        self.rejected = Rejected(document.etag, self._wall_clock(), faults)
        return False


def validated(raw: bytes) -> Config:
    """As `schema.parse`, but a large document is parsed in a native thread so that requests are served on."""
    if len(raw) <= _INLINE:
        return parse(raw)
    outcome = get_hub().threadpool.apply(_parsed, (raw,))
    if isinstance(outcome, InvalidConfig):
        raise outcome
    return outcome


def _parsed(raw: bytes) -> Config | InvalidConfig:
    """The error as a value: gevent prints what a thread of its pool raises."""
    try:
        return parse(raw)
    except InvalidConfig as fault:
        return fault
