from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from app.config.current import Current
from app.config.document import ABSENT, Document
from app.config.model import Config
from tests.support.config_server import document


def numbered(revision: int, **changes: object) -> Document:
    return Document(document(**changes), f"{revision}-x", revision, "http://kv")


class Applied:
    """A Current that knows document 1, and the ratios it has put in force."""

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self.held = Event()
        self.held.set()
        self.current = Current(self._apply, wall_clock=lambda: 1000.0)
        assert self.current.offer(self.current.ticket(), numbered(1, ratio=0.1))

    def _apply(self, config: Config, _: Document) -> None:
        # Only the first to be held waits: whoever comes after it would overtake it without the lock.
        if not self.held.is_set() and config.ratio == 0.2:
            self.held.wait()
        self.ratios.append(config.ratio)


@pytest.fixture
def applied() -> Applied:
    return Applied()


def test_a_late_answer_does_not_undo_a_newer_one(applied: Applied) -> None:
    poll, watch = applied.current.ticket(), applied.current.ticket()
    assert applied.current.offer(watch, numbered(3, ratio=0.3))
    assert not applied.current.offer(poll, numbered(2, ratio=0.2))
    applied.current.miss(poll)
    assert (applied.ratios, applied.current.missing) == ([0.1, 0.3], False)


def test_documents_are_put_in_force_one_after_the_other(applied: Applied) -> None:
    applied.held.clear()
    first = gevent.spawn(applied.current.offer, applied.current.ticket(), numbered(2, ratio=0.2))
    gevent.idle()
    second = gevent.spawn(applied.current.offer, applied.current.ticket(), numbered(3, ratio=0.3))
    gevent.idle()
    applied.held.set()
    assert [each.get(timeout=5) for each in (first, second)] == [True, True]
    assert (applied.ratios, applied.current.document) == ([0.1, 0.2, 0.3], numbered(3, ratio=0.3))


def test_an_older_document_is_taken_when_the_server_was_set_back(applied: Applied) -> None:
    applied.current.offer(applied.current.ticket(), numbered(9, ratio=0.9))
    assert applied.current.offer(applied.current.ticket(), numbered(2, ratio=0.2))
    assert applied.ratios == [0.1, 0.9, 0.2]


def test_a_rejected_document_is_what_the_next_question_starts_from(applied: Applied) -> None:
    assert not applied.current.offer(applied.current.ticket(), numbered(2, ratio=7))
    assert applied.current.ticket().etag == "2-x"
    assert applied.current.rejected is not None
    assert (applied.current.rejected.etag, applied.current.rejected.at) == ("2-x", 1000.0)
    applied.current.confirm(applied.current.ticket())
    assert applied.current.document == numbered(1, ratio=0.1)


def test_a_deleted_document_that_comes_back_unchanged_is_not_put_in_force_twice(applied: Applied) -> None:
    applied.current.miss(applied.current.ticket())
    assert (applied.current.missing, applied.current.ticket().etag) == (True, ABSENT)
    assert applied.current.offer(applied.current.ticket(), numbered(1, ratio=0.1))
    assert (applied.current.missing, applied.ratios, applied.current.changes) == (False, [0.1], 1)


def test_what_was_asked_of_a_server_that_was_left_does_not_count(applied: Applied) -> None:
    ticket = applied.current.ticket()
    applied.current.forget_server()
    assert not applied.current.offer(ticket, numbered(2, ratio=0.2))
    assert applied.current.ticket().etag is None


def test_a_document_of_the_disk_is_confirmed_by_the_server() -> None:
    current = Current(lambda *_: None, wall_clock=lambda: 0.0)
    current.fall_back(numbered(1), "last_good")
    assert (current.source, current.ticket().etag) == ("last_good", "1-x")
    current.confirm(current.ticket())
    assert current.source == "config_server"
