"""The embedded engine: one SQLite file, one process, every acknowledged write on the disk.

Reads of what is current come from memory. Writes queue up; a committer greenlet takes what is waiting, weighs each
in turn and makes them durable in one transaction (group commit), in the one native thread that touches the file.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import gevent
from gevent import Greenlet
from gevent.event import AsyncResult
from gevent.queue import Empty, Queue
from gevent.threadpool import ThreadPool

from kv.engine.base import Limits
from kv.engine.leases import PERIOD, Leases
from kv.engine.mirror import Draft, Mirror
from kv.engine.plan import expiry, plan
from kv.engine.sqlite_file import Connect, FileLock, SqliteFile, connect
from kv.errors import CannotStart, Full, KvError, Unavailable, Unknown
from kv.model import Commit, Condition, Event, Item, Meta, Operation, Version

log = logging.getLogger(__name__)

BATCH = 128
RESERVED = 10_000
"""Revisions taken on the disk at once for what needs no disk: a crash skips them, and gives none of them twice."""
YIELD = 4
"""How many times as long as a step of a backup takes those who write are left alone after it."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Write:
    """One caller's commit, weighed on what was written before it, and waiting for its outcome."""

    weigh: Callable[[Draft], Commit]
    outcome: AsyncResult[Commit]


class SqliteEngine:
    """See Engine. `connect` makes the connection; it is called in the native thread.

    `period`: seconds between two looks for keys whose time is up.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        connect: Connect = connect,
        period: float = PERIOD,
    ) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._file = SqliteFile(path, self._limits.versions, connect)
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._mirror = Mirror()
        self._leases = Leases(self._expire, period=period)
        self._reserved = 0
        self._writes: Queue[_Write | None] = Queue()
        self._feed: Queue[Event | KvError | None] = Queue()
        self._accepting = False
        self._broken: Unavailable | None = None
        self._pool: ThreadPool | None = None
        self._committer: Greenlet[[], None] | None = None

    def open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise CannotStart(f"{self._path} cannot be used: {error.strerror}") from error
        self._pool = ThreadPool(1)
        try:
            self._in_thread(self._file.open)
            self._load()
        except KvError:
            self._release()
            raise
        self._accepting = True
        self._committer = Greenlet.spawn(self._run)
        self._leases.start()
        return self._mirror.revision

    def _load(self) -> None:
        items, self._reserved = self._in_thread(self._file.newest)
        self._mirror = Mirror(items, self._reserved)

    def get(self, key: str, revision: int | None = None) -> Item | None:
        if revision is None:
            return self._mirror.get(key)
        newest = self._mirror.newest(key)
        if newest is not None and newest.version.revision == revision:
            return newest
        return self._in_thread(self._file.version_at, key, revision)

    def peek(self, key: str) -> Item | None:
        return self._mirror.get(key)

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        return self._mirror.scan(prefix, after, limit)

    def history(self, key: str, limit: int) -> list[Version]:
        return self._in_thread(self._file.history, key, limit)

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        def weigh(draft: Draft) -> Commit:
            return plan(draft, conditions, operations, meta, self._limits)

        return self._submit(weigh)

    def _expire(self, by: float) -> None:
        self._submit(lambda draft: expiry(draft, self._leases.due(by)))

    def _submit(self, weigh: Callable[[Draft], Commit]) -> Commit:
        if not self._accepting:
            raise Unavailable("the store is closed")
        write = _Write(weigh, AsyncResult())
        self._writes.put(write)
        return cast(Commit, write.outcome.get())

    def feed(self) -> Iterator[Event]:
        while (event := self._feed.get()) is not None:
            if isinstance(event, KvError):
                raise event
            yield event

    def status(self) -> dict[str, Any]:
        return {
            "engine": "sqlite",
            "revision": self._mirror.revision,
            "keys": len(self._mirror),
            "bytes": sum(_size(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal")),
            "file": str(self._path),
            "version": sqlite3.sqlite_version,
        }

    def backup(self) -> Iterator[Item]:
        snapshot = self._in_thread(self._file.snapshot)
        try:
            while not snapshot.ended:
                begun, revision = time.monotonic(), self._mirror.revision
                yield from self._in_thread(self._file.read_on, snapshot)
                if self._mirror.revision > revision:
                    gevent.sleep(YIELD * (time.monotonic() - begun))
        finally:
            self._in_thread(self._file.release, snapshot)

    def restore(self, items: Iterable[Item], revision: int) -> None:
        self._in_thread(self._file.restore, items, revision)
        self._load()

    def close(self) -> None:
        if self._committer is not None:
            self._accepting = False
            self._leases.stop()
            self._writes.put(None)
            self._committer.join()
            self._committer = None
            self._release()
            self._feed.put(None)

    def _release(self) -> None:
        self._in_thread(self._file.close)
        if self._pool is not None:
            self._pool.kill()
            self._pool = None
        self._lock.release()

    def _in_thread(self, call: Callable[..., _T], *arguments: object) -> _T:
        if self._pool is None:
            raise Unavailable("the store is not open")
        outcome = self._pool.apply(_attempt, (call, arguments))
        if isinstance(outcome, Exception):
            raise outcome
        return cast(_T, outcome)

    # The committer

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._commit(batch)
            except Exception as error:  # noqa: BLE001  whatever it was: the file is no longer known
                self._break_down(batch, error)

    def _take(self) -> list[_Write]:
        """What is waiting, at least one; empty when the end has come and everything before it is done."""
        batch: list[_Write] = []
        write = self._writes.get()
        gevent.sleep(0)  # those who are about to write come along
        while write is not None:
            batch.append(write)
            if len(batch) == BATCH:
                return batch
            try:
                write = self._writes.get_nowait()
            except Empty:
                return batch
        if batch:
            self._writes.put(None)
        return batch

    def _commit(self, batch: list[_Write]) -> None:
        draft = Draft(self._mirror)
        outcomes = [self._weigh(write, draft) for write in batch]
        commits = [commit for commit in outcomes if isinstance(commit, Commit)]
        try:
            self._make_durable(commits)
        except (Full, Unavailable) as error:
            # An outcome weighed against a write that failed is worth nothing either.
            outcomes = [error] * len(batch)
        else:
            self._publish(commits)
        for write, outcome in zip(batch, outcomes, strict=True):
            _answer(write, outcome)

    def _weigh(self, write: _Write, draft: Draft) -> Commit | Exception:
        if self._broken is not None:
            return self._broken
        try:
            return write.weigh(draft)
        except Exception as error:  # noqa: BLE001  one caller's, not the batch's
            return error

    def _publish(self, commits: list[Commit]) -> None:
        for commit in commits:
            self._leases.follow(commit)
            if commit.changes:
                self._mirror.apply(commit)
                self._feed.put(commit)

    def _make_durable(self, commits: list[Commit]) -> None:
        lasting = [commit for commit in commits if commit.kept or commit.forgotten]
        passing = [commit.revision for commit in commits if len(commit.kept) < len(commit.changes)]
        taken = max(passing, default=0)
        reserve = taken + RESERVED if taken > self._reserved else None
        if lasting or reserve:
            self._in_thread(self._file.write, lasting, reserve)
        self._reserved = reserve or self._reserved

    def _break_down(self, batch: list[_Write], error: Exception) -> None:
        log.critical("the store at %s failed and has to be read again: %s", self._path, error)
        self._broken = Unavailable("the store failed; the server has to start again")
        unknown = Unknown("the disk failed during this write; it may have happened")
        for write in batch:
            _answer(write, unknown)
        self._feed.put(self._broken)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _attempt(call: Callable[..., _T], arguments: tuple[object, ...]) -> _T | Exception:
    """gevent prints the trace of whatever is raised in a pool's thread, expected or not; so nothing is."""
    try:
        return call(*arguments)
    except Exception as error:  # noqa: BLE001  raised again outside
        return error


def _answer(write: _Write, outcome: Commit | Exception) -> None:
    if isinstance(outcome, Commit):
        write.outcome.set(outcome)
    else:
        write.outcome.set_exception(outcome)
