"""What only an engine with a disk has: reopening, one owner, and disks that fail."""

from __future__ import annotations

import logging
import sqlite3

import gevent
import pytest

from kv.engine.base import Limits
from kv.engine.sqlite import SqliteEngine
from kv.engine.sqlite_file import connect
from kv.errors import CannotStart, Full, Gone, Unavailable, Unknown
from kv.model import Delete, Meta, Put
from tests.support.kv_helpers import delete, opened, put


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "kv.db"


def test_everything_is_there_again(path):
    with opened(SqliteEngine(path)) as engine:
        engine.commit((), [Put("a", b"1"), Put("b", b"2")], Meta("ann", "first", 1.5))
        put(engine, "a", b"3")
        delete(engine, "b")
    with opened(SqliteEngine(path)) as again:
        assert (again.get("a").value, again.get("b"), again.status()["revision"]) == (b"3", None, 3)
        assert (again.get("a", 1).value, again.get("a", 1).version.meta) == (b"1", Meta("ann", "first", 1.5))
        assert again.scan("", "", 9)[0] == 3
        assert put(again, "b", b"2").results[0].item.version.number == 3


def test_pruning_and_forgetting_hold_on_disk(path, capfd):
    limits = Limits(keys=2, versions=2)
    with opened(SqliteEngine(path, limits)) as engine:
        for number in range(4):
            put(engine, "a", b"%d" % number)
        put(engine, "b", b"1")
        delete(engine, "b")
        put(engine, "c", b"1")
    with opened(SqliteEngine(path, limits)) as again:
        assert ([version.revision for version in again.history("a", 9)], again.history("b", 9)) == (
            [4, 3],
            [],
        )
        with pytest.raises(Gone):
            again.get("a", 2)
    assert capfd.readouterr().err == ""


def together(*calls):
    """Writes that wait at once, in this order, and so are one transaction on the disk."""
    writers = [gevent.spawn(*call) for call in calls]
    gevent.joinall(writers, raise_error=True, timeout=10)


def test_a_deletion_makes_room_for_what_is_written_with_it(path):
    limits = Limits(keys=2)
    with opened(SqliteEngine(path, limits)) as engine:
        put(engine, "a", b"1")
        put(engine, "b", b"1")
        together(
            (delete, engine, "a"),
            (put, engine, "c", b"1"),
            (delete, engine, "c"),
            (put, engine, "a", b"2"),
            (delete, engine, "a"),
            (put, engine, "d", b"1"),
        )
        with pytest.raises(Full):
            put(engine, "e", b"1")
    with opened(SqliteEngine(path, limits)) as again:
        assert [item.key for item in again.scan("", "", 9)[1]] == ["b", "d"]
        assert [again.history(key, 9) for key in "ac"] == [[], []]


def test_it_is_durable_the_way_it_has_to_be(path):
    pragmas = {}

    class Watched(sqlite3.Connection):
        def close(self):
            for name in ("journal_mode", "synchronous", "locking_mode"):
                pragmas[name] = self.execute(f"PRAGMA {name}").fetchone()[0]
            super().close()

    with opened(
        SqliteEngine(path, connect=lambda p: sqlite3.connect(p, isolation_level=None, factory=Watched))
    ):
        pass
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


def test_a_second_owner_is_told_who_the_first_is(path):
    with opened(SqliteEngine(path)), pytest.raises(CannotStart, match=r"held by process \d+"):
        SqliteEngine(path).open()
    with opened(SqliteEngine(path)) as third:
        assert put(third, "a", b"1").revision == 1


@pytest.mark.parametrize("content", [b"this is not a database, and long enough to tell" * 30, None])
def test_a_strange_file_is_left_alone(path, content):
    path.parent.mkdir()
    if content:
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
    before = path.read_bytes()
    with pytest.raises(CannotStart):
        SqliteEngine(path).open()
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(path):
    with opened(SqliteEngine(path)):
        pass
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version=99")
    later.close()
    with pytest.raises(CannotStart, match="newer"):
        SqliteEngine(path).open()


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart):
        SqliteEngine(tmp_path / "file" / "kv.db").open()


def test_a_full_disk_refuses_and_recovers(path):
    def small(name):
        connection = connect(name)
        connection.execute("PRAGMA max_page_count=20")
        return connection

    with opened(SqliteEngine(path, connect=small)) as engine:
        put(engine, "a", b"1")
        with pytest.raises(Full):
            put(engine, "b", b"x" * 200_000)
        assert (engine.get("b"), put(engine, "c", b"1").revision) == (None, 2)
    with opened(SqliteEngine(path)) as again:
        assert [item.key for item in again.scan("", "", 9)[1]] == ["a", "c"]


class Failing(sqlite3.Connection):
    """Fails at the statement `fails` begins with, once it is set."""

    fails = "nothing"

    def execute(self, statement, *values):
        if statement.startswith(self.fails):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return super().execute(statement, *values)


@pytest.fixture
def failing(path):
    """An open engine and its connection, which can be made to fail."""
    connections = []

    def connect(name):
        connections.append(sqlite3.connect(name, isolation_level=None, factory=Failing))
        return connections[0]

    with opened(SqliteEngine(path, connect=connect)) as engine:
        yield engine, connections[0]


def test_a_write_that_failed_before_its_commit_did_not_happen(failing):
    engine, connection = failing
    connection.fails = "INSERT"
    with pytest.raises(Unavailable):
        put(engine, "a", b"1")
    connection.fails = "nothing"
    assert (engine.get("a"), put(engine, "a", b"2").revision) == (None, 1)


def test_a_commit_that_failed_is_unknown_and_the_last(failing, caplog):
    engine, connection = failing
    put(engine, "a", b"1")
    connection.fails = "COMMIT"
    with caplog.at_level(logging.CRITICAL), pytest.raises(Unknown):
        put(engine, "a", b"2")
    connection.fails = "nothing"
    with pytest.raises(Unavailable):
        put(engine, "a", b"3")
    assert (engine.get("a").value, "failed" in caplog.text) == (b"1", True)
    feed = engine.feed()
    assert next(feed).revision == 1
    with pytest.raises(Unavailable):
        next(feed)


def test_nothing_is_visible_before_it_is_durable(path):
    seen = []

    class Slow(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "COMMIT":
                seen.append(engine.get("a"))
            return super().execute(statement, *values)

    engine = SqliteEngine(path, connect=lambda p: sqlite3.connect(p, isolation_level=None, factory=Slow))
    with opened(engine):
        put(engine, "a", b"1")
    assert seen == [None]


def test_writes_share_commits(path):
    commits = []

    class Counting(sqlite3.Connection):
        def execute(self, statement, *values):
            commits.extend([1] if statement == "COMMIT" else [])
            return super().execute(statement, *values)

    with opened(
        SqliteEngine(path, connect=lambda p: sqlite3.connect(p, isolation_level=None, factory=Counting))
    ) as e:
        writers = [gevent.spawn(put, e, f"k{n}", b"1") for n in range(256)]
        gevent.joinall(writers, timeout=10, raise_error=True)
    assert len(commits) <= 4


def test_a_key_forgotten_in_a_batch_is_new_to_the_rest_of_it(path):
    with opened(SqliteEngine(path, Limits(keys=2))) as engine:
        put(engine, "a", b"1")
        put(engine, "b", b"1")
        delete(engine, "a")
        first, second = (gevent.spawn(put, engine, key, b"1") for key in "ca")
        gevent.joinall([first, second], timeout=10)
        assert (first.get().forgotten, type(second.exception)) == (("a",), Full)


def test_what_was_accepted_is_finished_at_the_end(path):
    engine = SqliteEngine(path)
    engine.open()
    writers = [gevent.spawn(engine.commit, (), [Put(f"k{n}", b"1")], Meta()) for n in range(200)]
    gevent.sleep(0)
    engine.close()
    gevent.joinall(writers, timeout=10, raise_error=True)
    with opened(SqliteEngine(path)) as again:
        assert len(again.scan("", "", 999)[1]) == 200
        again.commit((), [Delete("k0")], Meta())


def test_a_backup_of_an_engine_that_closes_is_not_taken_for_whole(path):
    engine = SqliteEngine(path)
    with opened(engine):
        engine.commit((), [Put(f"k{number:03}", b"1") for number in range(200)], Meta())
        backup = engine.backup()
        next(backup)
    with pytest.raises(Unavailable):
        list(backup)


def test_what_a_failed_write_would_have_deleted_is_in_a_backup_once(path):
    connections = []

    def connect(name):
        connections.append(sqlite3.connect(name, isolation_level=None, factory=Failing))
        return connections[0]

    with opened(SqliteEngine(path, Limits(versions=2), connect=connect)) as engine:
        engine.commit((), [Put(f"k{number:03}", b"1") for number in range(200)], Meta())
        put(engine, "k199", b"2")
        before, backup = list(engine.backup()), engine.backup()
        seen = [next(backup)]
        connections[0].fails = "DELETE"
        with pytest.raises(Unavailable):
            put(engine, "k199", b"3")
        connections[0].fails = "nothing"
        assert seen + list(backup) == before
