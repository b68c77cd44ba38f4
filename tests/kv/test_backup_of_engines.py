"""What every engine promises of its backups: all of one moment, and the same again from them."""

from __future__ import annotations

import gevent
import pytest

from kv.engine.base import Limits
from kv.model import SCHEMAS, Meta, Put
from tests.support.kv_helpers import delete, opened, put

LAST = f"{SCHEMAS}a/"  # behind any key


def places(items):
    return [(item.key, item.version.number, item.value) for item in items]


def test_every_kept_version_by_key_and_age(engine):
    put(engine, "b", b"1")
    put(engine, "a", b"1")
    put(engine, "b", b"2")
    delete(engine, "a")
    put(engine, "c", b"1", ttl=60)
    items = list(engine.backup())
    assert places(items) == [("a", 1, b"1"), ("a", 2, b""), ("b", 1, b"1"), ("b", 2, b"2")]
    assert [item.live for item in items] == [True, False, True, True]
    assert [item.version for item in reversed(items) if item.key == "a"] == engine.history("a", 9)


def test_an_empty_store_has_an_empty_backup(engine):
    assert list(engine.backup()) == []


def test_what_is_written_meanwhile_does_not_show(make_engine):
    """Not even where it makes old versions and forgotten keys go."""
    with opened(make_engine(Limits(keys=300, versions=3))) as engine:
        for number in range(300):
            put(engine, f"k{number:03}" if number < 299 else LAST, b"%d" % number)
        for number in range(2):
            put(engine, LAST, b"more %d" % number)
        delete(engine, "k298")
        before = list(engine.backup())
        backup = engine.backup()
        seen = [next(backup)]
        for number in range(7):
            put(engine, "k000", b"new %d" % number)
            put(engine, LAST, b"new %d" % number)
        put(engine, "k999", b"makes the deleted one go")
        seen += list(backup)
        assert engine.history("k298", 9) == []
    assert seen == before


def test_two_backups_at_once(engine):
    for number in range(200):
        put(engine, f"k{number:03}", b"1")
    first, second = engine.backup(), engine.backup()
    next(first)
    put(engine, "k199", b"2")
    next(second)
    assert (len(list(first)), len(list(second))) == (199, 200)


def test_a_backup_given_up_leaves_nothing_behind(engine):
    for number in range(200):
        put(engine, f"k{number:03}", b"1")
    backup = engine.backup()
    next(backup)
    backup.close()
    put(engine, "k000", b"2")
    assert len(list(engine.backup())) == 201


def test_writers_go_on_during_a_backup(engine):
    """It has everything up to one commit, and nothing after. A shared etcd has revisions of others between ours."""
    committed = [put(engine, f"k{number:03}", b"1").revision for number in range(300)]
    writers = [gevent.spawn(put, engine, f"k{number % 14:03}", b"%d" % number) for number in range(2, 702)]
    backups = [gevent.spawn(lambda: list(engine.backup())) for _ in range(3)]
    gevent.joinall([*writers, *backups], timeout=20, raise_error=True)
    committed += sorted(writer.get().revision for writer in writers)
    for backup in backups:
        revisions = sorted(item.version.revision for item in backup.get())
        assert revisions == committed[: len(revisions)]


def told(items):
    """All of a backup but the revisions, which are an engine's own."""
    return [(item.key, item.value, item.live, item.version.number, item.version.meta) for item in items]


def test_from_a_backup_everything_is_there_again(engine, engine_name):
    engine.commit((), [Put("a", b"1"), Put("b", b"2")], Meta("ann", "first", 1.5))
    put(engine, "a", b"3")
    delete(engine, "b")
    put(engine, "c", b"1", ttl=60)
    backup, revision = list(engine.backup()), engine.status()["revision"]
    put(engine, "a", b"4")
    put(engine, "d", b"5")
    engine.restore(backup, revision)
    assert (engine.get("a").value, engine.get("b"), engine.get("c"), engine.get("d")) == (
        b"3",
        None,
        None,
        None,
    )
    assert engine.history("a", 9)[-1].meta == Meta("ann", "first", 1.5)
    again = list(engine.backup())
    assert told(again) == told(backup)
    assert again == backup or engine_name == "etcd"
    assert put(engine, "b", b"2").results[0].item.version.number == 3


def test_the_revision_goes_on_from_the_backup(engine):
    put(engine, "a", b"1")
    put(engine, "b", b"1", ttl=60)
    backup, revision = list(engine.backup()), engine.status()["revision"]
    engine.restore(backup, revision)
    assert engine.status()["revision"] >= revision
    assert put(engine, "a", b"2").revision == engine.scan("", "", 9)[0] > revision


def test_a_backup_that_fails_on_the_way_changes_nothing(engine):
    first = put(engine, "a", b"1").revision
    backup = list(engine.backup())

    def cut():
        yield backup[0]
        raise ValueError("cut off")

    put(engine, "a", b"2")
    with pytest.raises(ValueError, match="cut off"):
        engine.restore(cut(), 1)
    assert (engine.get("a").value, put(engine, "a", b"3").revision) == (b"2", first + 2)
