"""The SQLite file of the embedded engine: one connection, in WAL mode, synced at every COMMIT.

Called from one native thread only, hence nothing of gevent and no logging here. Knows rows and transactions, no rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from kv.engine.snapshot import Snapshot
from kv.errors import CannotStart, Full, Gone, Unavailable, Unknown
from kv.model import Commit, Item, Meta, Version

Connect = Callable[[str], sqlite3.Connection]

_APPLICATION_ID = 0x5E217B  # tells our files from other people's
_FORMAT = 2

# The value comes last: SQLite then reads the columns before it without touching a large value's overflow pages.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    key TEXT NOT NULL, revision INTEGER NOT NULL, number INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, author TEXT NOT NULL, note TEXT NOT NULL, value BLOB,
    PRIMARY KEY (key, revision))
"""
_RESERVED_SCHEMA = """
CREATE TABLE IF NOT EXISTS reserved (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), revision INTEGER NOT NULL)
"""
# Exclusive: a second connection that writes or checkpoints at once can corrupt the file before SQLite 3.51.3.
# Pages of 8 KiB (of new files), and 16 MiB of them kept, take half the CPU time that SQLite's defaults do.
_PRAGMAS = (
    "page_size=8192",
    "cache_size=-16384",
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=FULL",
)

_COLUMNS = "key, revision, number, etag, modified, author, note, value IS NULL, coalesce(length(value), 0)"
_NEWEST = f"""SELECT {_COLUMNS}, value FROM versions
    WHERE (key, revision) IN (SELECT key, MAX(revision) FROM versions GROUP BY key)"""  # noqa: S608
_AT = f"SELECT {_COLUMNS}, value FROM versions WHERE key = ? AND revision = ?"  # noqa: S608
_HISTORY = f"SELECT {_COLUMNS} FROM versions WHERE key = ? ORDER BY revision DESC LIMIT ?"  # noqa: S608
_OLDEST = "SELECT revision, number FROM versions WHERE key = ? ORDER BY revision LIMIT 1"
_INSERT = "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ALL = 2**62  # above any number or revision
# Those of a key up to a number. Numbers grow with revisions, which have an index: nothing that stays is looked at but
# the first version that does.
_OLD = f"""key = ?1 AND revision < coalesce(
    (SELECT revision FROM versions WHERE key = ?1 AND number > ?2 ORDER BY revision LIMIT 1), {_ALL})"""  # noqa: S608
_UP_TO = f"SELECT {_COLUMNS}, value FROM versions WHERE {_OLD}"  # noqa: S608
_PRUNE = f"DELETE FROM versions WHERE {_OLD}"  # noqa: S608
_RESERVED = "SELECT coalesce(MAX(revision), 0) FROM reserved"
_RESERVE = "INSERT OR REPLACE INTO reserved VALUES (1, ?)"
_BEHIND = f"""SELECT {_COLUMNS}, value FROM versions
    WHERE (key, revision) > (?, ?) AND revision <= ? ORDER BY key, revision LIMIT ?"""  # noqa: S608
_CLEAR = "DELETE FROM versions"

STEP_ROWS, STEP_BYTES = 128, 256 * 1024


def connect(path: str) -> sqlite3.Connection:
    """A connection that leaves transactions to its user and never waits for another process."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


class SqliteFile:
    """`versions` are kept of each key. `connect` makes the connection from the path."""

    def __init__(self, path: Path, versions: int, connect: Connect = connect) -> None:
        self._path = path
        self._versions = versions
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._revision = 0
        self._snapshots: list[Snapshot] = []

    def open(self) -> None:
        """Raises CannotStart."""
        try:
            self._connection = self._connect(str(self._path))
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise CannotStart(f"{self._path} cannot be used: {error}") from error

    def _prepare(self) -> None:
        ours, tables = self._number("application_id"), self._execute("SELECT COUNT(*) FROM sqlite_master")
        if ours != _APPLICATION_ID and tables.fetchone()[0]:
            raise CannotStart(f"{self._path} is a database of something else")
        if self._number("user_version") > _FORMAT:
            raise CannotStart(f"{self._path} was written by a newer version of this program")
        for pragma in _PRAGMAS:
            self._execute(f"PRAGMA {pragma}")
        self._execute(f"PRAGMA application_id={_APPLICATION_ID}")
        self._execute(f"PRAGMA user_version={_FORMAT}")
        self._execute(_SCHEMA)
        self._execute(_RESERVED_SCHEMA)

    def newest(self) -> tuple[list[Item], int]:
        """The newest version of every key, and the newest revision reserved. Raises CannotStart."""
        try:
            items = [_item(row) for row in self._execute(_NEWEST)]
            reserved = int(self._execute(_RESERVED).fetchone()[0])
        except sqlite3.Error as error:
            raise CannotStart(f"{self._path} cannot be read: {error}") from error
        self._revision = max((item.version.revision for item in items), default=0)
        return items, reserved

    def write(self, commits: Sequence[Commit], reserved: int | None = None) -> None:
        """What they keep, in one transaction, on the disk when this returns; with it, the newest revision taken.

        Raises what `_transaction` does.
        """
        with self._transaction():
            for commit in commits:
                self._write(commit)
            if reserved is not None:
                self._execute(_RESERVE, (reserved,))
        if commits:
            self._revision = commits[-1].revision

    def restore(self, items: Iterable[Item], reserved: int) -> None:
        """`items` in place of everything. Raises what `_transaction` and `items` do."""
        with self._transaction():
            self._execute(_CLEAR)
            for item in items:
                self._execute(_INSERT, _row(item))
            self._execute(_RESERVE, (reserved,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """What is executed inside is on the disk after it.

        Raises Full or Unavailable: nothing was written; Unknown: something may have been, do not go on.
        """
        try:
            self._execute("BEGIN IMMEDIATE")
            yield
        except sqlite3.Error as error:
            self._rollback()
            raise _failure(error, Unavailable) from error
        except BaseException:
            self._rollback()
            raise
        try:
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise _failure(error, Unknown) from error

    def _write(self, commit: Commit) -> None:
        for key in commit.forgotten:
            self._prune(key, _ALL)
        for item in commit.kept:
            self._execute(_INSERT, _row(item))
            if item.version.number > self._versions:
                self._prune(item.key, item.version.number - self._versions)

    def _prune(self, key: str, number: int) -> None:
        if self._snapshots:
            doomed = [_item(row) for row in self._execute(_UP_TO, (key, number))]
            for snapshot in self._snapshots:
                snapshot.spare(doomed)
        self._execute(_PRUNE, (key, number))

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # SQLite has often rolled back by itself
            self._execute("ROLLBACK")

    def version_at(self, key: str, revision: int) -> Item | None:
        """Raises Gone for a revision older than what is kept of `key`."""
        row = self._execute(_AT, (key, revision)).fetchone()
        if row is not None:
            return _item(row)
        oldest = self._execute(_OLDEST, (key,)).fetchone()
        if oldest is not None and oldest[1] > 1 and revision < oldest[0]:
            raise Gone("this version is no longer kept", key=key)
        return None

    def history(self, key: str, limit: int) -> list[Version]:
        """Newest first."""
        return [_version(row) for row in self._execute(_HISTORY, (key, limit))]

    def snapshot(self) -> Snapshot:
        """Of everything that is there now; whoever asks for it releases it."""
        snapshot = Snapshot(self._revision)
        self._snapshots.append(snapshot)
        return snapshot

    def read_on(self, snapshot: Snapshot) -> list[Item]:
        """Its next versions, some of them at a time. Raises Unavailable."""
        try:
            rows = self._execute(_BEHIND, (*snapshot.place, snapshot.revision, STEP_ROWS))
            return snapshot.take(list(_fitting(map(_item, rows))))
        except sqlite3.Error as error:
            raise _failure(error, Unavailable) from error

    def release(self, snapshot: Snapshot) -> None:
        self._snapshots.remove(snapshot)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        if self._connection is None:
            raise Unavailable("the store is closed")
        return self._connection.execute(statement, values)

    def _number(self, pragma: str) -> int:
        return int(self._execute(f"PRAGMA {pragma}").fetchone()[0])


class FileLock:
    """This process's sole right to a store, held until `release` or the end of the process.

    A file beside the database: closing any descriptor of the database itself would drop SQLite's own locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Raises CannotStart, naming the process that has it."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 20).decode(errors="replace").strip()
            self.release()
            raise CannotStart(
                f"{self._path} is held by process {owner or 'unknown'}: a SQLite store belongs to one process"
            ) from None
        os.truncate(self._descriptor, 0)
        os.write(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _fitting(items: Iterable[Item]) -> Iterator[Item]:
    """So many of them that their values come to no more than STEP_BYTES and one value."""
    total = 0
    for item in items:
        yield item
        total += item.version.size
        if total > STEP_BYTES:
            return


def _failure(error: sqlite3.Error, otherwise: type[Unavailable | Unknown]) -> Full | Unavailable | Unknown:
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
        return Full("the disk is full; nothing was written")
    return otherwise(f"the disk failed: {error}")


def _row(item: Item) -> tuple[object, ...]:
    version, meta = item.version, item.version.meta
    value = None if version.deleted else item.value
    return (item.key, version.revision, version.number, version.etag, *_told(meta), value)


def _told(meta: Meta) -> tuple[float, str, str]:
    return meta.modified, meta.author, meta.note


def _version(row: Sequence[object]) -> Version:
    _, revision, number, etag, modified, author, note, deleted, size = row[:9]
    return Version(number, revision, etag, size, bool(deleted), Meta(author, note, modified))  # type: ignore[arg-type]


def _item(row: Sequence[object]) -> Item:
    return Item(str(row[0]), row[9] or b"", _version(row))  # type: ignore[arg-type]
