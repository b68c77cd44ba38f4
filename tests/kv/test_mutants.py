"""The mistakes that matter most in a store, made on purpose: each has to be found, and the real thing has to pass."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import replace

import gevent
import pytest

from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.errors import Conflict
from kv.model import NO_ETAG
from kv.store import Store
from kv.watch import Hub, Watcher
from tests.support.kv_helpers import client, opened, put, serving, serving_store
from tests.support.kv_history import Crowd


class PublishesFirst(SqliteEngine):
    """Shows a commit before it is on the disk."""

    def _make_durable(self, commits):
        super()._publish(commits)
        super()._make_durable(commits)

    def _publish(self, commits):
        pass


def nothing_is_seen_before_it_is_durable(engine_class, folder):
    seen = []

    class Watched(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "COMMIT":
                seen.append(engine.get("a"))
            return super().execute(statement, *values)

    def connect(path):
        return sqlite3.connect(path, isolation_level=None, factory=Watched)

    engine = engine_class(folder / "kv.db", connect=connect)
    with opened(engine):
        put(engine, "a", b"1")
    assert seen == [None]


class ChecksBefore(MemoryEngine):
    """Looks at the conditions, and commits when somebody else may have been there."""

    def commit(self, conditions, operations, meta):
        for condition in conditions:
            item = self.get(condition.key)
            etag = item.version.etag if item else NO_ETAG
            if not condition.holds(etag):
                raise Conflict("too late", key=condition.key, etag=etag)
        gevent.sleep(0)
        return super().commit((), operations, meta)


def what_clients_are_told_is_linearizable(engine_class, _folder):
    with serving_store(engine_class()) as store, serving(store) as server:
        crowd = Crowd(lambda _: ("127.0.0.1", server.server_port), ["a", "b", "c"])
        with crowd.at_work():
            pass
        crowd.check()


class ForgetfulHub(Hub):
    """Forgets what came between a look and the wait after it."""

    @contextmanager
    def watch(self, topic):
        with super().watch(topic) as watcher:
            watcher.__class__ = ForgetfulWatcher
            yield watcher


class ForgetfulWatcher(Watcher):
    __slots__ = ()

    def wait(self, seconds):
        self._changed = False
        return super().wait(seconds)


def no_wake_up_is_lost(hub_class, _folder):
    with serving_store(hub=hub_class()) as store:
        looks = []

        def look():
            item = store.get("a")
            looks.append(item)
            if len(looks) == 2:  # between this look of a watcher and its wait
                put(store.engine, "a", b"1")
                store.hub.until(1)
            return item

        assert store.wait("a", look, lambda item: item is None, 0.2) is not None


class AnswersAtOnce(Store):
    """Does not care whether the hub has heard of it."""

    def commit(self, conditions, operations, meta):
        return self.engine.commit(conditions, operations, meta)


class SlowFeed(MemoryEngine):
    def feed(self):
        for event in super().feed():
            gevent.sleep(0.01)
            yield event


def an_answer_comes_after_the_news(store_class, _folder):
    store = store_class(SlowFeed())
    store.start()
    try:
        answer = client(store).put("/v1/kv/a", data=b"1")
        assert answer.headers["X-Store-Revision"] == answer.headers["X-Revision"]
    finally:
        store.stop()


class Hashless(MemoryEngine):
    """Makes ETags of revisions alone."""

    def _apply(self, commit):
        results = [replace(result, item=without_hash(result.item)) for result in commit.results]
        super()._apply(replace(commit, results=tuple(results)))


def without_hash(item):
    return replace(item, version=replace(item.version, etag=item.version.etag.partition("-")[0]))


def etags_of_a_lost_time_are_never_right_again(engine_class, _folder):
    engine = engine_class()
    with opened(engine):
        put(engine, "a", b'"before"')
        backup, revision = list(engine.backup()), 1
        put(engine, "a", b'"lost"')
        lost = engine.get("a").version
        engine.restore(backup, revision)
        put(engine, "a", b'"after"')
        again = engine.get("a").version
        assert again.revision == lost.revision
        assert again.etag != lost.etag


MUTANTS = [
    (nothing_is_seen_before_it_is_durable, SqliteEngine, PublishesFirst),
    (what_clients_are_told_is_linearizable, MemoryEngine, ChecksBefore),
    (no_wake_up_is_lost, Hub, ForgetfulHub),
    (an_answer_comes_after_the_news, Store, AnswersAtOnce),
    (etags_of_a_lost_time_are_never_right_again, MemoryEngine, Hashless),
]


@pytest.mark.parametrize(
    ("check", "real", "mutant"), MUTANTS, ids=[mutant.__name__ for *_, mutant in MUTANTS]
)
def test_it_is_found(check, real, mutant, tmp_path):
    check(real, tmp_path)
    (tmp_path / "mutant").mkdir()
    with pytest.raises(AssertionError):
        check(mutant, tmp_path / "mutant")
