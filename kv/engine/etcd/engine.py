"""The engine over an etcd cluster, which any number of these servers may share.

Reads come from memory, after etcd has proved that it is current. A write is weighed on what is in memory, and carried
out by etcd only if that was current; if not, it is weighed again. Every outcome is as linearizable as etcd is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gevent import Greenlet
from gevent.event import Event as Flag
from gevent.queue import Queue
from requests import Session

from kv.engine.base import Limits
from kv.engine.etcd import versions
from kv.engine.etcd.follower import Follower
from kv.engine.etcd.gateway import Gateway
from kv.engine.etcd.layout import Layout
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.past import Past
from kv.engine.etcd.proof import Behind, Prover
from kv.engine.etcd.replica import Replica
from kv.engine.etcd.target import Target
from kv.engine.etcd.transfer import Transfer
from kv.engine.etcd.turns import Turns
from kv.engine.etcd.writer import Writer
from kv.engine.mirror import Draft
from kv.engine.plan import plan
from kv.errors import KvError, Unavailable, Unknown
from kv.model import SCHEMAS, Commit, Condition, Event, Item, Meta, Operation, Version

log = logging.getLogger(__name__)

_TRIES = 32
_ALARMS = {
    "NOSPACE": "etcd has used up its quota and takes no writes",
    "CORRUPT": "members of etcd hold different data",
}


class EtcdEngine:
    """See Engine. Several processes may open the same prefix."""

    def __init__(
        self,
        target: Target,
        limits: Limits | None = None,
        *,
        pace: Pace | None = None,
        new_session: Callable[[], Session] = Session,
    ) -> None:
        self._limits = limits or Limits()
        self._pace = pace = pace or Pace()
        layout, self._gateway = Layout(target.prefix), Gateway(target, pace, new_session=new_session)
        self._replica = Replica(layout)
        self._feed: Queue[Event | KvError | None] = Queue()
        self._follower = Follower(self._gateway, layout, self._replica, pace, self._feed.put)
        self._gateway.on_leaving = self._follower.move
        self._prover = Prover(self._gateway, layout, self._replica, pace, self._follower.renew)
        self._writer = Writer(self._gateway, layout, self._replica, self._limits)
        self._transfer = Transfer(self._gateway, layout, self._limits)
        self._past = Past(self._gateway, layout, self._limits)
        self._turns = Turns()
        self._auditor: Greenlet[[], None] | None = None
        self._accepting = False
        self._alarms: list[str] = []
        self._writing = 0
        self._idle, self._closing = Flag(), Flag()

    def open(self) -> int:
        """With etcd away it is open all the same, and Unavailable until it has come."""
        try:
            self._follower.start()
        except KvError:
            self._gateway.close()
            raise
        self._prover.start()
        self._accepting = True
        self._auditor = Greenlet.spawn(self._audit)
        return self._replica.revision

    def get(self, key: str, revision: int | None = None) -> Item | None:
        self._prover.prove(key)
        mirror = self._replica.mirror
        newest = mirror.newest(key)
        if revision is None:
            return mirror.get(key)
        if newest is None or newest.version.revision == revision:
            return newest
        return self._past.version_at(key, newest.version.number, revision)

    def peek(self, key: str) -> Item | None:
        return self._replica.mirror.get(key)

    def scan(self, prefix: str, after: str, limit: int) -> tuple[int, list[Item]]:
        self._prover.prove(prefix)
        return self._replica.mirror.scan(prefix, after, limit)

    def history(self, key: str, limit: int) -> list[Version]:
        self._prover.prove(key)
        newest = self._replica.mirror.newest(key)
        return self._past.history(key, newest.version, limit) if newest else []

    def commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        if not self._accepting:
            raise Unavailable("the store is closed")
        if not self._replica.revision:
            raise Unavailable("etcd has not been reached yet")
        keys = [operation.key for operation in operations]
        with self._underway(), self._turns.take(keys, self._pace.patience):
            return self._commit(conditions, operations, meta)

    def _commit(self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta) -> Commit:
        keys = dict.fromkeys(each.key for each in (*conditions, *operations))
        proven = False
        for _ in range(_TRIES):
            outcome = self._weigh(conditions, operations, meta)
            if isinstance(outcome, KvError):
                if proven:
                    raise outcome
            elif outcome.forgotten:
                self._make_room(outcome.forgotten)
            elif outcome.changes:
                if written := self._writer.write(outcome, keys):
                    return self._shown(written)
            elif proven and self._writer.renew(outcome):
                return outcome
            self._prover.prove(*keys, SCHEMAS)
            proven = True
        raise Unavailable("other servers write these keys all the time")

    def _weigh(
        self, conditions: Sequence[Condition], operations: Sequence[Operation], meta: Meta
    ) -> Commit | KvError:
        try:
            return plan(Draft(self._replica.mirror), conditions, operations, meta, self._limits)
        except KvError as error:
            return error

    def _make_room(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._writer.forget(key)
            self._prover.prove(key)

    def _shown(self, written: Commit) -> Commit:
        """Return when those who watch this server can see it. Raises Unknown."""
        try:
            if not self._replica.reach(written.revision, self._pace.lag):
                self._follower.renew()
        except Unavailable as error:
            raise Unknown("etcd was lost after this write; it has happened, or will have") from error
        return written

    @contextmanager
    def _underway(self) -> Iterator[None]:
        self._writing += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._writing -= 1
            if not self._writing:
                self._idle.set()

    def feed(self) -> Iterator[Event]:
        while (event := self._feed.get()) is not None:
            if isinstance(event, KvError):
                raise event
            yield event

    def status(self) -> dict[str, Any]:
        return {
            "engine": "etcd",
            "revision": self._replica.revision,
            "keys": len(self._replica.mirror),
            "endpoint": self._gateway.endpoint,
            "connected": self._follower.connected,
            "version": self._follower.version,
            "warnings": self._warnings(),
        }

    def _warnings(self) -> list[str]:
        known = versions.warnings(self._follower.version) if self._follower.version else []
        return [*known, *(_ALARMS.get(alarm, f"etcd has the alarm {alarm}") for alarm in self._alarms)]

    def backup(self) -> Iterator[Item]:
        at = self._prover.moment()
        yield from self._transfer.read(self._replica.kept(), at)

    def restore(self, items: Iterable[Item], revision: int) -> None:
        """Revisions are etcd's own, and a restore that fails on the way has to be repeated."""
        self._transfer.write(items)
        self._follower.renew()

    def close(self) -> None:
        if self._auditor is not None:
            self._accepting = False
            if self._writing:
                self._idle.wait(2 * self._pace.patience)
            self._gateway.closing = True
            self._closing.set()
            self._auditor.join()
            self._auditor = None
            self._prover.stop()
            self._follower.stop()
            self._gateway.close()
            self._feed.put(None)

    def _audit(self) -> None:
        while not self._closing.wait(self._pace.audit):
            try:
                self._prover.audit()
                self._alarms = self._gateway.alarms()
            except Behind as error:
                log.warning("%s; everything is read anew", error)
                self._follower.discard()
            except Unavailable:
                self._follower.move()
            except Exception:
                log.exception("what is in memory could not be compared with etcd")
