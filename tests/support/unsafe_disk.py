"""A disk in memory whose power can fail, which can be full, and whose fsync can fail: as a VFS of SQLite's.

The SQLite on it is apsw's, not Python's own, which takes no VFS. What is written is safe once it was synced; of what
was written since, a loss of power keeps, loses or tears each write by itself, whatever came before or after it.
"""
# ruff: noqa: N802  the names are SQLite's

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import apsw

_NAMES = count()


class File:
    """`safe`: what is on the disk for sure; `now`: what a reader sees; `since`: the writes between the two."""

    def __init__(self, disk: Disk, content: bytes | None = None) -> None:
        self._disk = disk
        self._new, content = content is None, content or b""
        self.safe, self.now = content, bytearray(content)
        self.since: list[tuple[int, bytes | None]] = []

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.check()
        return bytes(self.now[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.pass_by(max(0, offset + len(data) - len(self.now)))
        self.since.append((offset, bytes(data)))
        _write(self.now, offset, data)

    def xTruncate(self, size: int) -> None:
        self._disk.pass_by()
        self.since.append((size, None))
        del self.now[size:]

    def xSync(self, _flags: int) -> None:
        self._disk.pass_by()
        if self._disk.syncs_fail:
            raise _failure(apsw.SQLITE_IOERR_FSYNC)
        self.safe, self.since = bytes(self.now), []
        if (
            self._new
        ):  # SQLite under Unix syncs the folder with a file it has made, and with it what it has deleted
            self._new = False
            self._disk.gone.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        content = bytearray(self.safe)
        for offset, data in self.since:
            kept = chance.choice([0.0, chance.random(), 1.0])
            if data is not None:
                _write(content, offset, data[: int(len(data) * kept)])
            elif kept:
                del content[offset:]
        return bytes(content)

    def xFileSize(self) -> int:
        return len(self.now)

    def xLock(self, _level: int) -> None:
        pass

    def xUnlock(self, _level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, _operation: int, _pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        """As SQLite takes it of every disk under Unix: a write changes no byte beside it, be it torn."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        pass


class Disk(apsw.VFS):
    """`files` by path. `steps`: how many writes, syncs and deletions there are before the power fails.

    `room`: bytes that files can still grow by. `done`: how many steps there have been.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.name = f"disk {next(_NAMES)}"
        super().__init__(self.name, "")
        self.files = {path: File(self, content) for path, content in (files or {}).items()}
        self.gone: dict[str, File] = {}
        self.steps = self.room = 2**62
        self.done = 0
        self.syncs_fail = False

    def check(self) -> None:
        if self.steps < 0:
            raise _failure(apsw.SQLITE_IOERR)

    def pass_by(self, growth: int = 0) -> None:
        """One step."""
        self.steps -= 1
        self.done += 1
        self.check()
        if growth > self.room:
            raise _failure(apsw.SQLITE_FULL)
        self.room -= growth

    def after_power_loss(self, chance: random.Random) -> Disk:
        """The disk when the power is back. A file whose deletion was not synced may be there again."""
        back = {path: file for path, file in self.gone.items() if chance.random() < 0.5}
        return Disk({path: file.after_power_loss(chance) for path, file in {**back, **self.files}.items()})

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        self.check()
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or f"temporary {next(_NAMES)}"
        flags[1] = flags[0]
        return self.files.setdefault(path, File(self))

    def xDelete(self, path: str, sync: bool) -> None:
        self.pass_by()
        file = self.files.pop(path)
        if not sync:
            self.gone[path] = file

    def xAccess(self, path: str, _flags: int) -> bool:
        self.check()
        return path in self.files

    def xFullPathname(self, path: str) -> str:
        return path

    def connect(self, path: str) -> Connection:
        """Stands in for `kv.engine.sqlite_file.connect`."""
        return Connection(path, self.name)


class Connection:
    """As much of sqlite3.Connection as the engine uses, over apsw's."""

    def __init__(self, path: str, vfs: str) -> None:
        try:
            self._connection = apsw.Connection(path, vfs=vfs)
        except apsw.Error as error:
            raise _as_sqlite3(error) from error
        # There is no shared memory here: this has to be said before anything is read.
        self.execute("PRAGMA locking_mode=EXCLUSIVE")
        self.execute("PRAGMA wal_autocheckpoint=30")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        try:
            return Rows(list(self._connection.execute(statement, tuple(values))))
        except apsw.Error as error:
            raise _as_sqlite3(error) from error

    def close(self) -> None:
        with suppress(apsw.Error):  # as Python's own does
            self._connection.close(True)


class Rows:
    """A cursor that has everything already."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = iter(rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _failure(code: int) -> apsw.Error:
    error = apsw.FullError("full") if code == apsw.SQLITE_FULL else apsw.IOError("the disk failed")
    error.extendedresult = code
    return error


def _as_sqlite3(error: apsw.Error) -> sqlite3.Error:
    told = sqlite3.OperationalError(str(error))
    told.sqlite_errorcode = error.extendedresult
    return told
