"""The hub: who is woken, who is let in, and what a writer waits for."""

from __future__ import annotations

import gevent
import pytest
from gevent.queue import Queue

from kv.errors import TooManyWatchers, Unavailable, Unknown
from kv.model import Commit, Meta, Progress, Reset, Result, make_item
from kv.watch import Hub, Watcher


def commit(revision, *keys):
    items = [make_item(key, b"1", 1, revision, Meta()) for key in keys]
    return Commit(revision, tuple(Result(item, changed=True) for item in items))


class Feed:
    """Feeds a hub what a test says; an exception is raised in it."""

    def __init__(self, **options):
        self.events, self.failures = Queue(), []
        self.hub = Hub(**options)
        self.hub.start(0, self._follow(), lambda: self.failures.append(1))

    def _follow(self):
        while (event := self.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def __call__(self, *events):
        for event in events:
            self.events.put(event)
        gevent.idle()


@pytest.fixture
def feed():
    feed = Feed()
    yield feed
    feed.events.put(None)
    feed.hub.stop()


@pytest.mark.parametrize(
    ("topic", "key", "woken"),
    [
        ("a/b", "a/b", True),
        ("a/", "a/b", True),
        ("a/", "a/b/c", True),
        ("", "a", True),
        ("a", "a/b", False),
        ("a/", "a", False),
        ("a/b/", "a/b", False),
        ("b/", "a/b", False),
    ],
)
def test_who_is_woken(feed, topic, key, woken):
    with feed.hub.watch(topic) as watcher:
        feed(commit(1, key))
        assert watcher.wait(0) is woken


def test_every_key_of_a_commit_wakes(feed):
    with feed.hub.watch("a") as a, feed.hub.watch("b") as b:
        feed(commit(1, "a", "b"))
        assert a.wait(0)
        assert b.wait(0)


def test_many_changes_are_one_flag(feed):
    with feed.hub.watch("a") as watcher:
        feed(commit(1, "a"), commit(2, "a"))
        assert watcher.wait(0)
        assert not watcher.wait(0)


@pytest.mark.parametrize(("event", "woken"), [(Reset(5), True), (Progress(5), False)])
def test_reset_and_progress(feed, event, woken):
    with feed.hub.watch("a") as watcher:
        feed(event)
        assert (watcher.wait(0), feed.hub.revision) == (woken, 5)


def test_a_writer_waits_until_the_hub_has_it(feed):
    writers = [gevent.spawn(feed.hub.until, revision) for revision in (1, 2)]
    feed(commit(1, "a"))
    assert [writer.ready() for writer in writers] == [True, False]
    feed(Progress(3))
    gevent.joinall(writers, timeout=5, raise_error=True)
    feed.hub.until(2)


def test_only_so_many_watchers():
    hub = Hub(limit=1)
    with hub.watch("a"), pytest.raises(TooManyWatchers), hub.watch("b"):
        pass
    with hub.watch("b"):
        assert hub.watchers == 1
    assert hub.watchers == 0


def test_a_feed_that_breaks_is_not_lost(feed, caplog):
    writer = gevent.spawn(feed.hub.until, 1)
    gevent.idle()
    feed(RuntimeError("gone"))
    with pytest.raises(Unknown):
        writer.get(timeout=5)
    with pytest.raises(Unavailable):
        feed.hub.check()
    assert (feed.failures, "gone" in caplog.text) == ([1], True)


def test_release_lets_everyone_go(feed):
    with feed.hub.watch("a") as watcher:
        feed.hub.release()
        assert (watcher.wait(0), feed.hub.closing) == (True, True)


def test_a_change_in_the_moment_when_the_time_is_up_is_not_lost():
    """A wait that ends by its time does not know of a change in the same turn of the hub."""
    for number in range(200):
        watcher = Watcher()
        waiting = gevent.spawn(watcher.wait, 0.001)
        change = gevent.spawn_later(0.0009 + number % 5 * 0.00005, watcher.wake, 1)
        gevent.joinall([waiting, change])
        assert waiting.get() or watcher.wait(0)
