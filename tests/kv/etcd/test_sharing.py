"""Several servers over one etcd, which is also other people's."""

from __future__ import annotations

import itertools
from collections import deque

import gevent
import pytest

from kv.engine.base import Limits
from kv.engine.etcd import EtcdEngine
from kv.engine.etcd.target import Target
from kv.errors import Conflict, Full, InvalidDocument, TooLarge
from kv.json_patch import parse
from kv.model import SCHEMAS, Condition, Delete, Merge, Meta, Patch, Put, Reset
from tests.support.etcd import NEEDS_ETCD
from tests.support.kv_helpers import delete, put, serving_store
from tests.support.processes import wait_until

pytestmark = NEEDS_ETCD


@pytest.fixture
def pair(shared_etcd, open_engine):
    return open_engine(shared_etcd.url), open_engine(shared_etcd.url)


def etag(commit):
    return commit.results[0].item.version.etag


def test_what_one_has_written_the_other_reads_at_once(pair):
    one, other = pair
    for number in range(50):
        written = put(one, "a", b"%d" % number)
        assert other.get("a").version.revision == written.revision
        assert other.scan("", "", 9)[0] == written.revision
        one, other = other, one


def test_the_etag_of_one_is_a_condition_for_the_other(pair):
    """Never a conflict only because this server has not heard of it yet."""
    one, other = pair
    known = etag(put(one, "a", b"0"))
    for number in range(1, 50):
        known = etag(put(other, "a", b"%d" % number, Condition("a", frozenset({known}))))
        one, other = other, one


def test_what_is_no_change_any_more_is_none(pair):
    one, other = pair
    for number in range(20):
        written = put(one, "a", b"%d" % number)
        again = put(other, "a", b"%d" % number)
        assert (again.changes, again.results[0].item) == ((), written.results[0].item)


def test_every_feed_has_every_commit_in_one_order(pair):
    writers = [
        gevent.spawn(put, engine, f"k{number % 5}", b"%d" % number)
        for number, engine in enumerate(itertools.islice(itertools.cycle(pair), 100))
    ]
    gevent.joinall(writers, timeout=20, raise_error=True)
    revisions = sorted(writer.get().revision for writer in writers)
    for engine in pair:
        engine.get("k0")
        engine.close()
        assert [event.revision for event in engine.feed()] == revisions


def test_racing_merges_through_both_are_all_kept(pair):
    put(pair[0], "a", b"{}")
    merges = [
        gevent.spawn(engine.commit, (), [Merge("a", {f"n{number}": number})], Meta())
        for number, engine in enumerate(itertools.islice(itertools.cycle(pair), 40))
    ]
    gevent.joinall(merges, timeout=20, raise_error=True)
    assert pair[0].get("a").value.count(b"n") == 40
    assert [version.number for version in pair[1].history("a", 100)] == list(range(41, 0, -1))


def test_of_racing_creators_one_wins(pair):
    create = Condition("a", None, wanted=False)
    creators = [gevent.spawn(put, engine, "a", b"%d" % n, create) for n, engine in enumerate(pair * 10)]
    gevent.joinall(creators, timeout=20)
    assert sorted(str(type(each.exception)) for each in creators) == sorted(
        [str(type(None))] + [str(Conflict)] * 19
    )


def test_a_schema_of_one_governs_what_is_written_through_the_other(pair):
    one, other = pair
    for number in range(10):
        put(one, SCHEMAS + "a", b'{"maximum": %d}' % number)
        with pytest.raises(InvalidDocument):
            put(other, "a", b"%d" % (number + 1))
        put(other, "a", b"%d" % number)


def test_a_schema_cannot_be_slipped_past(pair):
    """Whatever the order of two racing commits: a document written after the schema satisfies it."""
    one, other = pair
    for number in range(20):
        key = f"k{number}"
        racers = [
            gevent.spawn(put, one, SCHEMAS + key, b'{"type": "string"}'),
            gevent.spawn(put, other, key, b"1"),
        ]
        gevent.joinall(racers, timeout=10)
        schema, document = racers[0].get().revision, other.get(key)
        assert document is None or document.version.revision < schema


def test_watchers_of_one_are_woken_by_writes_through_the_other(shared_etcd, prefix, open_engine):
    writer = open_engine(shared_etcd.url)
    with (
        serving_store(EtcdEngine(Target((shared_etcd.url,), prefix))) as store,
        store.hub.watch("a/") as watcher,
    ):
        revision = put(writer, "a/b", b"1").revision
        assert watcher.wait(5)
        assert (watcher.since, store.peek("a/b").value) == (revision, b"1")


def test_a_new_server_has_it_all(shared_etcd, open_engine):
    """More than a page of it, some deleted, some with a ttl, one over a deletion."""
    one = open_engine(shared_etcd.url)
    for start in range(0, 300, 30):
        one.commit((), [Put(f"k{n:03}", b'"%d"' % n) for n in range(start, start + 30)], Meta())
    one.commit((), [Delete(f"k{n:03}") for n in range(0, 20)], Meta())
    one.commit((), [Put("k000", b"1", 60.0), Put("t", b"1", 60.0)], Meta())
    other = open_engine(shared_etcd.url)
    assert other.scan("", "", 1000) == one.scan("", "", 1000)
    assert len(other.scan("", "", 1000)[1]) == 282
    delete(one, "k000")
    assert (other.get("k000"), [version.deleted for version in other.history("k000", 9)]) == (
        None,
        [True, False],
    )


def test_large_values_come_in_pages(shared_etcd, open_engine):
    one = open_engine(shared_etcd.url)
    for number in range(6):
        put(one, "a", b'"%d%b"' % (number, b"x" * 500_000))
        put(one, f"k{number}", b'"%b"' % (b"x" * 500_000))
    other = open_engine(shared_etcd.url)
    assert [item.version.size for item in other.scan("", "", 9)[1]] == [500_003, *[500_002] * 6]
    assert [version.number for version in other.history("a", 100)] == [6, 5, 4, 3, 2, 1]
    assert len(list(other.backup())) == 12


def test_keys_that_look_like_versions_of_another(shared_etcd, open_engine):
    engine = open_engine(shared_etcd.url, limits=Limits(keys=3, versions=4))
    twin = "a/000000000001"
    for number in range(3):
        put(engine, "a", b"%d" % number)
        put(engine, twin, b"1%d" % number)
    assert [len(engine.history(key, 9)) for key in ("a", twin)] == [3, 3]
    assert [item.value for item in engine.backup()] == [b"0", b"1", b"2", b"10", b"11", b"12"]
    delete(engine, "a")
    put(engine, "b", b"1")
    put(engine, "c", b"1")
    assert (engine.history("a", 9), len(engine.history(twin, 9))) == ([], 3)


def test_more_keys_than_there_is_room_for_through_both(shared_etcd, open_engine):
    one, other = (open_engine(shared_etcd.url, limits=Limits(keys=3)) for _ in range(2))
    for number, engine in enumerate((one, other, one)):
        put(engine, f"k{number}", b"1")
    for engine in (one, other):
        with pytest.raises(Full):
            put(engine, "k9", b"1")
    delete(other, "k1")
    put(one, "k9", b"1")
    assert (other.history("k1", 9), other.get("k9").value) == ([], b"1")


def test_history_is_kept_whatever_etcd_compacts(shared_etcd, open_engine):
    engine = open_engine(shared_etcd.url)
    revisions = [put(engine, "a", b"%d" % number).revision for number in range(5)]
    shared_etcd.compact()
    assert [version.revision for version in engine.history("a", 9)] == revisions[::-1]
    assert engine.get("a", revisions[0]).value == b"0"
    assert len(list(engine.backup())) == 5
    assert put(engine, "a", b"5").revision == revisions[-1] + 1


def test_what_others_have_in_etcd_is_not_seen_and_makes_nothing_late(shared_etcd, prefix, open_engine):
    engine = open_engine(shared_etcd.url)
    put(engine, "a/b", b"1")
    for number in range(5):
        shared_etcd.put(f"{prefix}x/k/a/c", str(number))
        assert engine.get("a/b").value == b"1"
        assert [item.key for item in engine.scan("a/", "", 9)[1]] == ["a/b"]
    shared_etcd.compact()
    assert [item.key for item in engine.backup()] == ["a/b"]


@pytest.mark.parametrize("raw", ["{}", '{"ver": 1}', "1"])
def test_what_people_write_by_hand_is_left_out(shared_etcd, prefix, open_engine, caplog, raw):
    engine = open_engine(shared_etcd.url)
    put(engine, "a", b"1")
    shared_etcd.put(f"{prefix}/k/b", raw)
    shared_etcd.put(f"{prefix}/k/../b", raw)
    wait_until(lambda: "left out" in caplog.text)
    assert [item.key for item in engine.scan("", "", 9)[1]] == ["a"]
    assert put(engine, "b", b"2").results[0].created
    assert (engine.get("b").value, open_engine(shared_etcd.url).get("b").value) == (b"2", b"2")


def test_what_people_delete_by_hand_is_gone_and_those_who_wait_are_told(shared_etcd, prefix, open_engine):
    engine = open_engine(shared_etcd.url)
    put(engine, "a", b"1")
    events = deque()
    feed = gevent.spawn(lambda: events.extend(engine.feed()))
    shared_etcd.delete(f"{prefix}/k/a")
    wait_until(lambda: engine.get("a") is None)
    engine.close()
    feed.join(5)
    assert isinstance(events[-1], Reset)


def test_a_commit_too_large_for_etcd(shared_etcd, open_engine):
    engine = open_engine(shared_etcd.url)
    large = b'"%b"' % (b"x" * 400_000)
    with pytest.raises(TooLarge):
        engine.commit((), [Put("a", large), Put("b", large)], Meta())
    assert engine.scan("", "", 9)[1] == []
    put(engine, "a", large)


def test_as_many_conditions_and_operations_as_a_transaction_may_have(shared_etcd, open_engine):
    engine = open_engine(shared_etcd.url)
    keys = [f"k{number}" for number in range(32)]
    others = [f"o{number}" for number in range(31)]
    absent = [Condition(key, None, wanted=False) for key in others]
    engine.commit(absent, [Put(key, b"0") for key in keys], Meta())
    engine.commit((), [Put(key, b"0") for key in others], Meta())
    there = [Condition(key, None) for key in others]
    commit = engine.commit(there, [Put(key, b"1") for key in keys], Meta())
    assert len(commit.changes) == 32
    with pytest.raises(TooLarge):
        engine.commit(
            [Condition(f"x{number}", None, wanted=False) for number in range(32)],
            [Put(f"y{number}", b"0") for number in range(32)],
            Meta(),
        )


def test_a_key_with_a_ttl_outlives_the_server_that_wrote_it(shared_etcd, open_engine):
    one, other = open_engine(shared_etcd.url), open_engine(shared_etcd.url)
    put(one, "lock", b"1", ttl=1.0)
    one.close()
    assert other.get("lock").version.ttl == 1.0
    wait_until(lambda: other.get("lock") is None)


def test_a_lease_is_renewed_through_any_server(pair):
    first = etag(put(pair[0], "lock", b"1", ttl=0.4))
    for engine in pair * 4:
        gevent.sleep(0.3)
        assert etag(put(engine, "lock", b"1", Condition("lock", frozenset({first})), ttl=0.4)) == first
    wait_until(lambda: pair[0].get("lock") is None)


@pytest.mark.parametrize("number", [1, 120])
def test_any_number_of_versions(shared_etcd, open_engine, number):
    engine = open_engine(shared_etcd.url, limits=Limits(versions=5))
    revisions = [put(engine, "a", b"%d" % n).revision for n in range(number)]
    assert [version.revision for version in engine.history("a", 100)] == revisions[::-1][:5]


def test_patches_are_weighed_again_when_they_lost(pair):
    put(pair[0], "a", b"[]")
    step = parse([{"op": "add", "path": "/-", "value": 1}])
    steps = [gevent.spawn(engine.commit, (), [Patch("a", step)], Meta()) for engine in pair * 10]
    gevent.joinall(steps, timeout=20, raise_error=True)
    assert pair[0].get("a").value == b"[" + b", ".join([b"1"] * 20) + b"]"
