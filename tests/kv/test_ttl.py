"""Keys that go unless they are written again: of every engine, over HTTP, and over a restart."""

from __future__ import annotations

import sqlite3
import time

import gevent
import pytest

from kv.engine.base import TTL_SLACK, Limits
from kv.engine.leases import Leases
from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.errors import Conflict, Full, Kept
from kv.model import NO_ETAG, Commit, Condition, Delete, Merge, Meta, Put, Result, make_item
from tests.support.kv_helpers import client, delete, etag, held, opened, problem, put, serving_store
from tests.support.processes import wait_until

SHORT, LONG = 0.1, 60.0
KEY = "/v1/kv/a/lock"


def newest(engine, key):
    return engine.get(key).version


def gone(engine, key):
    wait_until(lambda: engine.get(key) is None, SHORT + TTL_SLACK + 5)


def test_it_is_there_like_any_other(engine):
    put(engine, "a/b", b"1")
    result = put(engine, "a/c", b"2", ttl=LONG).results[0]
    assert (result.created, result.item, newest(engine, "a/c").ttl) == (True, engine.get("a/c"), LONG)
    assert [(item.key, item.version.ttl) for item in engine.scan("a/", "", 9)[1]] == [
        ("a/b", None),
        ("a/c", LONG),
    ]


def test_it_goes_and_not_before(engine):
    begun = time.monotonic()
    put(engine, "a", b"1", ttl=SHORT)
    gone(engine, "a")
    assert time.monotonic() - begun >= SHORT
    assert engine.scan("", "", 9)[1] == []


def test_it_leaves_no_history(engine):
    first = put(engine, "a", b"1", ttl=LONG).revision
    second = put(engine, "a", b"2", ttl=LONG).revision
    assert (engine.history("a", 9), engine.get("a", first), engine.get("a", second).value) == ([], None, b"2")
    delete(engine, "a")
    assert (engine.history("a", 9), engine.get("a", second)) == ([], None)


def test_its_end_is_a_deletion_in_the_feed(engine):
    etag = put(engine, "a", b"1", ttl=SHORT).results[0].item.version.etag
    gone(engine, "a")
    engine.close()
    events = [(item.key, item.live, item.version.etag) for event in engine.feed() for item in event.changes]
    assert events == [("a", True, etag), ("a", False, NO_ETAG)]


def test_keys_that_come_together_go_together(engine, engine_name):
    keys = [f"k{n}" for n in range(5)]
    engine.commit((), [Put(key, b"1", SHORT) for key in keys], Meta())
    for key in keys:
        gone(engine, key)
    engine.close()
    came, *went = [[item.key for item in event.changes] for event in engine.feed()]
    assert came == keys == sorted(key for each in went for key in each)
    assert len(went) == 1 or engine_name == "etcd"  # where each has a lease of its own


def test_the_same_again_renews_it_without_a_revision(engine):
    first = put(engine, "a", b"1", ttl=SHORT).results[0].item
    end = time.monotonic() + 5 * SHORT
    while time.monotonic() < end:
        again = put(engine, "a", b"1", Condition("a", frozenset({first.version.etag})), ttl=SHORT)
        assert (again.changes, again.results[0].item) == ((), first)
        gevent.sleep(SHORT / 10)
    gone(engine, "a")


def test_another_content_renews_it_too(engine, base):
    end, number = time.monotonic() + 5 * SHORT, 0
    while time.monotonic() < end:
        number += 1
        assert put(engine, "a", b"%d" % number, ttl=SHORT).revision == base + number
        gevent.sleep(SHORT / 10)
    gone(engine, "a")


def test_another_ttl_is_a_change(engine):
    shorter = put(engine, "a", b"1", ttl=SHORT)
    longer = put(engine, "a", b"1", ttl=LONG)
    assert (longer.revision - shorter.revision, longer.results[0].changed, longer.results[0].created) == (
        1,
        True,
        False,
    )
    gevent.sleep(3 * SHORT)
    assert newest(engine, "a").ttl == LONG


def test_a_merge_leaves_the_ttl(engine):
    put(engine, "a", b"{}", ttl=SHORT)
    assert engine.commit((), [Merge("a", {"x": 1})], Meta()).results[0].item.version.ttl == SHORT
    gone(engine, "a")


def test_a_plain_put_makes_it_stay(engine):
    put(engine, "a", b"1", ttl=SHORT)
    plain = put(engine, "a", b"1").results[0]
    assert (plain.changed, plain.created, plain.item.version.number, plain.item.version.ttl) == (
        True,
        False,
        1,
        None,
    )
    gevent.sleep(3 * SHORT)
    assert (engine.get("a").value, [version.number for version in engine.history("a", 9)]) == (b"1", [1])


def test_what_is_there_to_stay_gets_no_ttl(engine):
    written = put(engine, "a", b"1")
    with pytest.raises(Kept):
        put(engine, "a", b"2", ttl=LONG)
    assert (engine.get("a").value, engine.status()["revision"]) == (b"1", written.revision)


def test_a_history_outlives_what_comes_over_it(engine):
    put(engine, "a", b"1")
    delete(engine, "a")
    over = put(engine, "a", b"2", ttl=SHORT).results[0]
    assert (over.created, over.item.version.number, len(engine.history("a", 9))) == (True, 2, 2)
    gone(engine, "a")
    assert [version.deleted for version in engine.history("a", 9)] == [True, False]
    assert put(engine, "a", b"3").results[0].item.version.number == 3


def test_of_racing_creators_one_wins_and_the_next_may_after_its_end(engine):
    create = Condition("a", None, wanted=False)
    leader = put(engine, "a", b"1", create, ttl=SHORT).results[0].item.version.etag
    with pytest.raises(Conflict):
        put(engine, "a", b"2", create, ttl=SHORT)
    gone(engine, "a")
    put(engine, "a", b"2", create, ttl=LONG)
    with pytest.raises(Conflict):
        put(engine, "a", b"1", Condition("a", frozenset({leader})), ttl=SHORT)


def test_other_writes_can_depend_on_it(engine):
    lock = put(engine, "lock", b"1", ttl=SHORT).results[0].item.version.etag
    holds = Condition("lock", frozenset({lock}))
    put(engine, "a", b"1", holds)
    gone(engine, "lock")
    with pytest.raises(Conflict):
        put(engine, "a", b"2", holds)


def test_what_has_gone_makes_room(small):
    for key in "abc":
        put(small, key, b"1", ttl=SHORT)
    with pytest.raises(Full):
        put(small, "d", b"1")
    for key in "abc":
        gone(small, key)
    for key in "def":
        put(small, key, b"1")


def test_a_history_under_it_is_not_forgotten(small):
    for key in "abc":
        put(small, key, b"1")
    delete(small, "a")
    put(small, "a", b"1", ttl=LONG)
    with pytest.raises(Full):
        put(small, "d", b"1")
    assert len(small.history("a", 9)) == 2


def test_a_listing_never_goes_back(engine):
    put(engine, "a/x", b"1")
    end = put(engine, "a/y", b"1", ttl=SHORT).revision + 1
    gone(engine, "a/y")
    assert [engine.scan(prefix, "", 9)[0] for prefix in ("", "a/", "b/")] == [end, end, 0]


def test_lists_of_places_that_were_left_stay_short():
    with opened(MemoryEngine(Limits(keys=30_000), period=60)) as engine:
        for number in range(12_000):
            put(engine, f"p{number}/a", b"1", ttl=LONG)
            delete(engine, f"p{number}/a")
        assert engine.scan("p11999/", "", 9)[0] == 24_000
        assert engine.scan("p0/", "", 9)[0] >= 2
        assert len(engine._mirror._left._revisions) <= 10_002


def test_many_of_them_touch_the_disk_once(tmp_path):
    with opened(SqliteEngine(tmp_path / "kv.db")) as engine:
        put(engine, "k0", b"0", ttl=LONG)
        size = (tmp_path / "kv.db-wal").stat().st_size
        for number in range(1_000):
            put(engine, f"k{number % 50}", b"%d" % number, ttl=LONG)
        assert (tmp_path / "kv.db-wal").stat().st_size == size


@pytest.mark.parametrize("kept", [0, 1])
def test_a_revision_is_never_given_twice(tmp_path, kept):
    """Not even by a process that was killed: what it leaves on the disk is what is read again here."""
    path, revision = tmp_path / "kv.db", 0
    for _ in range(3):
        with opened(SqliteEngine(path)) as engine:
            assert engine.status()["revision"] >= revision
            assert (engine.get("a"), engine.history("a", 9)) == (None, [])
            for number in range(20):
                commit = put(engine, "a", b"%d" % number, ttl=LONG)
                assert commit.revision > revision
                revision = commit.revision
            if kept:
                revision = put(engine, "b", b"%d" % revision).revision


def test_a_store_without_such_keys_counts_on_without_a_gap(tmp_path):
    for number in range(1, 4):
        with opened(SqliteEngine(tmp_path / "kv.db")) as engine:
            assert put(engine, "a", b"%d" % number).revision == number


def test_an_old_file_is_taken(tmp_path):
    path = tmp_path / "kv.db"
    with opened(SqliteEngine(path)) as engine:
        put(engine, "a", b"1")
        engine._in_thread(engine._file._execute, "DROP TABLE reserved")
        engine._in_thread(engine._file._execute, "PRAGMA user_version=1")
    with opened(SqliteEngine(path)) as engine:
        assert (engine.get("a").value, put(engine, "b", b"1", ttl=LONG).revision) == (b"1", 2)


def lease(ttl):
    return Commit(1, (Result(make_item("a", b"1", 0, 1, Meta(), ttl=ttl), changed=True),))


def test_who_stood_still_hears_its_clients_first():
    """After a pause of any length, a key is ended no sooner than one period after its time was seen to be up."""
    now, ended, looks = [0.0], [], []

    def clock():
        looks.append(now[0])
        return now[0]

    leases = Leases(ended.append, period=0.001, clock=clock)
    leases.follow(lease(10.0))
    leases.start()
    wait_until(lambda: len(looks) > 2)
    now[0] = 1000.0
    leases.follow(lease(10.0))  # the client's write, read before the next look
    before = len(looks)
    wait_until(lambda: len(looks) > before + 3)
    assert ended == []
    now[0] = 1011.0
    wait_until(lambda: ended)
    leases.stop()


def test_a_sweep_that_fails_is_tried_again(caplog):
    ended = []

    def end(by):
        ended.append(by)
        if len(ended) == 1:
            raise RuntimeError("no")

    leases = Leases(end, period=0.001)
    leases.follow(lease(0.001))
    leases.start()
    wait_until(lambda: len(ended) > 1)
    leases.stop()
    assert "could not be ended" in caplog.text


# Over HTTP


def test_over_http(http):
    created = http.put(f"{KEY}?ttl=30", data=b'"me"')
    assert (created.status_code, created.json["ttl"], created.json["version"]) == (201, 30, 0)
    again = http.put(f"{KEY}?ttl=30", data=b'"me"', headers={"If-Match": etag(created)})
    assert (again.status_code, again.json["changed"], etag(again)) == (200, False, etag(created))
    assert http.put(f"{KEY}?ttl=30", data=b'"you"', headers={"If-None-Match": "*"}).status_code == 412
    assert http.get("/v1/kv/a/?values").json["items"][0].items() >= {"ttl": 30, "value": "me"}.items()
    assert http.get(f"{KEY}?history=1").status_code == 404
    assert http.delete(KEY).status_code == 200


def test_a_key_that_stays_is_409(http):
    stored = http.put(KEY, data=b"1")
    response = http.put(f"{KEY}?ttl=30", data=b"2")
    assert (problem(response)["status"], response.json["key"], http.get(KEY).data) == (409, "a/lock", b"1")
    assert etag(http.get(KEY)) == etag(stored)


def test_a_plain_put_is_all_it_takes_to_stay(http):
    http.put(f"{KEY}?ttl=1.5", data=b"1")
    stays = http.put(KEY, data=b"1").json
    assert (stays["changed"], stays["version"], "ttl" in stays) == (True, 1, False)


@pytest.mark.parametrize(
    "query", ["ttl=0", "ttl=0.9", "ttl=86401", "ttl=x", "ttl=", "ttl=9&from=1", "ttl=1&ttl=2"]
)
def test_wrong_ttls(http, query):
    response = http.put(f"{KEY}?{query}", data=b"1")
    assert (response.status_code, http.get(KEY).status_code) == (400, 404)


def test_only_a_put_has_a_ttl(http):
    http.put(KEY, data=b"{}")
    assert [
        http.open(f"{KEY}?ttl=9", method=method).status_code for method in ("GET", "PATCH", "DELETE")
    ] == [
        400,
        400,
        400,
    ]


def test_who_waits_hears_of_the_end(make_engine):
    with serving_store(make_engine()) as store:
        http = client(store)
        store.put("a/lock", b"1", (), Meta(), ttl=SHORT)
        known = etag(http.get(KEY))
        waiting = held(
            lambda: store.hub.watchers, lambda: http.get(f"{KEY}?wait=30", headers={"If-None-Match": known})
        )
        with waiting as reader:
            response = reader.get(timeout=SHORT + TTL_SLACK + 5)
    assert (response.status_code, etag(response)) == (404, '"0"')


def test_a_commit_may_do_both(engine):
    before = put(engine, "gone", b"1", ttl=LONG).revision
    commit = engine.commit((), [Put("a", b"1", LONG), Put("b", b"1"), Delete("gone")], Meta())
    assert [item.version.revision for item in commit.changes] == [before + 1] * 3
    assert [item.key for item in commit.kept] == ["b"]
    assert [item.key for item in engine.scan("", "", 9)[1]] == ["a", "b"]


@pytest.mark.parametrize(
    "operation", [Put("a", b"2"), Put("a", b"1", SHORT), Merge("a", 1), Put("a", b"2", LONG)]
)
def test_a_write_on_its_way_to_the_disk_is_not_undone(tmp_path, operation):
    """The time is up, and its end comes to be weighed, while a write of the key is being made durable."""

    class Slow(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "COMMIT":
                time.sleep(0.2)
            return super().execute(statement, *values)

    def connect(path):
        return sqlite3.connect(path, isolation_level=None, factory=Slow)

    with opened(SqliteEngine(tmp_path / "kv.db", connect=connect, period=0.01)) as engine:
        put(engine, "a", b"1", ttl=SHORT)
        engine.commit((), [operation, Put("b", b"1")], Meta())
        engine.close()  # which finishes whatever was asked for by now
        assert engine.get("a") is not None
