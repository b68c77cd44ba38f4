"""What every engine promises, asked of each."""

from __future__ import annotations

import itertools
from dataclasses import replace

import gevent
import pytest

from kv.errors import BadRequest, Conflict, Full, Gone, NotFound, TooLarge, Unavailable
from kv.model import NO_ETAG, Condition, Delete, Merge, Meta, Put
from tests.support.kv_helpers import delete, put

CURRENT = "the ETag in force"


def stated(condition, current):
    """The condition with the ETag that CURRENT stands for."""
    if condition.etags is None:
        return condition
    return replace(
        condition, etags=frozenset(current if etag == CURRENT else etag for etag in condition.etags)
    )


def revisions(engine, key):
    return [version.revision for version in engine.history(key, 100)]


def test_starts_empty(engine):
    assert engine.get("a") is None
    assert engine.scan("", "", 10) == (0, [])
    assert engine.history("a", 10) == []


def test_a_put_is_read_back(engine, base):
    result = put(engine, "a", b"1").results[0]
    assert (result.changed, result.created, result.item) == (True, True, engine.get("a"))
    assert (engine.get("a").value, engine.get("a").version.revision) == (b"1", base + 1)


def test_the_same_content_makes_no_revision(engine, base):
    put(engine, "a", b"1")
    again = put(engine, "a", b"1")
    assert (again.revision, again.results[0].changed, again.changes) == (base + 1, False, ())
    assert revisions(engine, "a") == [base + 1]


def test_a_deletion_is_a_version(engine):
    put(engine, "a", b"1")
    assert not delete(engine, "a").results[0].item.live
    assert engine.get("a") is None
    assert [version.deleted for version in engine.history("a", 10)] == [True, False]


def test_versions_are_counted_on_after_a_deletion(engine):
    put(engine, "a", b"1")
    delete(engine, "a")
    again = put(engine, "a", b"1").results[0]
    assert (again.created, again.item.version.number) == (True, 3)


@pytest.mark.parametrize("operation", [Delete("a"), Merge("a", {})])
def test_nothing_cannot_be_changed(engine, operation):
    with pytest.raises(NotFound):
        engine.commit((), [operation], Meta())


def test_merges(engine):
    put(engine, "a", b'{"x": 1, "y": {"z": 2}}')
    engine.commit((), [Merge("a", {"x": None, "y": {"w": 3}})], Meta())
    assert engine.get("a").value == b'{"y": {"z": 2, "w": 3}}'


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ([Condition("a", None)], True),
        ([Condition("a", None, wanted=False)], False),
        ([Condition("b", None)], False),
        ([Condition("b", None, wanted=False)], True),
        ([Condition("b", frozenset({NO_ETAG}))], True),
        ([Condition("a", frozenset({CURRENT, "other"}))], True),
        ([Condition("a", frozenset({CURRENT}), wanted=False)], False),
        ([Condition("a", frozenset({"other"}))], False),
        ([Condition("a", None), Condition("b", None)], False),
    ],
)
def test_conditions(engine, conditions, holds):
    written = put(engine, "a", b"1")
    current = written.results[0].item.version.etag
    conditions = [stated(condition, current) for condition in conditions]
    if holds:
        assert put(engine, "a", b"2", *conditions).revision == written.revision + 1
        return
    with pytest.raises(Conflict) as caught:
        put(engine, "a", b"2", *conditions)
    assert caught.value.members["etag"] == (NO_ETAG if caught.value.members["key"] == "b" else current)
    assert engine.get("a").value == b"1"


def test_a_commit_of_several_operations_has_one_revision(engine):
    before = put(engine, "c", b"1").revision
    commit = engine.commit((), [Put("a", b"1"), Put("b", b"2"), Delete("c")], Meta())
    assert [item.version.revision for item in commit.changes] == [before + 1] * 3
    assert [item.key for item in engine.scan("", "", 10)[1]] == ["a", "b"]


def test_all_or_nothing(engine, base):
    with pytest.raises(NotFound):
        engine.commit((), [Put("a", b"1"), Delete("b")], Meta())
    assert engine.get("a") is None
    assert put(engine, "c", b"1").revision == base + 1


def test_a_key_once_in_a_commit(engine):
    with pytest.raises(BadRequest):
        engine.commit((), [Put("a", b"1"), Delete("a")], Meta())


def test_old_versions(engine):
    first, between, second = (put(engine, *pair).revision for pair in (("a", b"1"), ("b", b"x"), ("a", b"2")))
    end = delete(engine, "a").revision
    assert [engine.get("a", revision).value for revision in (first, second, end)] == [b"1", b"2", b""]
    assert engine.get("b", first) is None
    assert (engine.get("a", between), engine.get("a", end + 5), engine.get("nobody", first)) == (None,) * 3


def test_the_last_versions_are_kept(small):
    written = [put(small, "a", b"%d" % number).revision for number in range(6)]
    assert revisions(small, "a") == written[:1:-1]
    assert small.get("a", written[2]).value == b"2"
    with pytest.raises(Gone):
        small.get("a", written[1])


def test_history_is_cut_to_what_was_asked(engine):
    written = [put(engine, "a", b"%d" % number).revision for number in range(5)]
    assert [version.revision for version in engine.history("a", 2)] == written[:2:-1]


def test_history_tells_who_and_why(engine):
    meta = Meta("ann", "for the sale", 1_700_000_000.25)
    engine.commit((), [Put("a", b"12")], meta)
    version = engine.history("a", 1)[0]
    assert (version.meta, version.size, version.etag) == (meta, 2, engine.get("a").version.etag)


def test_a_value_too_large_changes_nothing(small):
    put(small, "a", b'{"a": 1}')
    with pytest.raises(TooLarge):
        put(small, "a", b"x" * 11)
    with pytest.raises(TooLarge):
        small.commit((), [Merge("a", {"b": 1})], Meta())
    assert small.get("a").value == b'{"a": 1}'


def test_no_more_keys_than_the_limit(small):
    for key in "abc":
        put(small, key, b"1")
    with pytest.raises(Full):
        put(small, "d", b"1")
    put(small, "a", b"2")


def test_the_longest_deleted_key_makes_room(small):
    for key in "abc":
        put(small, key, b"1")
    delete(small, "b")
    delete(small, "a")
    put(small, "d", b"1")
    assert (small.history("b", 9), len(small.history("a", 9))) == ([], 2)


def test_a_key_that_comes_back_is_not_forgotten(small):
    for key in "abc":
        put(small, key, b"1")
    delete(small, "a")
    put(small, "a", b"1")
    with pytest.raises(Full):
        put(small, "d", b"1")
    assert len(small.history("a", 9)) == 3


def test_a_commit_makes_no_room_at_its_own_cost(small):
    for key in "abc":
        put(small, key, b"1")
    delete(small, "b")
    delete(small, "c")
    small.commit((), [Put("b", b"2"), Put("d", b"2")], Meta())
    assert (len(small.history("b", 9)), small.history("c", 9)) == (3, [])


@pytest.mark.parametrize(
    ("asked", "revision", "keys"),
    [
        (("", "", 9), 7, ["a", "a.b", "a/b", "a/c", "a/~/d", "b"]),
        (("a/", "", 9), 7, ["a/b", "a/c", "a/~/d"]),
        (("a/", "a/b", 1), 7, ["a/c"]),
        (("a/~/", "", 9), 5, ["a/~/d"]),
        (("a/", "b", 9), 7, []),
        (("c/", "", 9), 0, []),
    ],
)
def test_scan(engine, base, asked, revision, keys):
    for key in ("b", "a", "a/b", "a.b", "a/~/d", "a/c"):
        put(engine, key, b"1")
    put(engine, "a/c", b"2")
    newest, items = engine.scan(*asked)
    assert (newest - base if newest else 0, [item.key for item in items]) == (revision, keys)


def test_scan_leaves_deletions_out_but_counts_them(engine):
    put(engine, "a/b", b"1")
    end = delete(engine, "a/b").revision
    assert engine.scan("a/", "", 9) == (end, [])


def test_the_feed_has_every_change_in_order(engine, base):
    put(engine, "a", b"1")
    put(engine, "a", b"1")
    put(engine, "b", b"1")
    delete(engine, "a")
    engine.close()
    assert [(event.revision - base, event.changes[0].key) for event in engine.feed()] == [
        (1, "a"),
        (2, "b"),
        (3, "a"),
    ]


def test_concurrent_writers_are_put_in_one_order(engine, base):
    writers = [gevent.spawn(put, engine, f"k{n % 7}", b"%d" % n) for n in range(300)]
    gevent.joinall(writers, timeout=10)
    expected = list(range(base + 1, base + 301))
    assert sorted(writer.get().revision for writer in writers) == expected
    engine.close()
    assert [event.revision for event in engine.feed()] == expected


def test_of_racing_creators_one_wins(engine):
    create = Condition("a", None, wanted=False)
    writers = [gevent.spawn(put, engine, "a", b"%d" % n, create) for n in range(50)]
    gevent.joinall(writers, timeout=10)
    assert [writer.exception is None for writer in writers].count(True) == 1
    assert {type(writer.exception) for writer in writers} == {type(None), Conflict}


def test_racing_merges_are_all_kept(engine):
    put(engine, "a", b"{}")
    writers = [gevent.spawn(engine.commit, (), [Merge("a", {f"n{n}": n})], Meta()) for n in range(50)]
    gevent.joinall(writers, timeout=10, raise_error=True)
    assert engine.get("a").value.count(b"n") == 50


def test_compare_and_set_counts_without_loss(engine):
    put(engine, "a", b"0")
    conflicts = itertools.count()

    def increment():
        while True:
            item = engine.get("a")
            try:
                put(
                    engine, "a", b"%d" % (int(item.value) + 1), Condition("a", frozenset({item.version.etag}))
                )
            except Conflict:
                next(conflicts)
                gevent.sleep(0)
            else:
                return

    gevent.joinall([gevent.spawn(increment) for _ in range(20)], timeout=10, raise_error=True)
    assert engine.get("a").value == b"20"


def test_status(engine, engine_name):
    written = put(engine, "a", b"1")
    assert (engine.status()["revision"], engine.status()["engine"]) == (written.revision, engine_name)


def test_closed_is_closed(engine):
    put(engine, "a", b"1")
    engine.close()
    with pytest.raises(Unavailable):
        put(engine, "a", b"2")
