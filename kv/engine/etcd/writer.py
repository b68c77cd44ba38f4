"""Brings commits to etcd: each one transaction that holds only if nothing it was weighed on has changed.

A transaction may be sent twice. If the first was carried out, the second is not, and finds the first one's nonce.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kv.engine.base import Limits
from kv.engine.etcd.gateway import TXN, Gateway, LeaseGone
from kv.engine.etcd.layout import Envelope, Layout, decode
from kv.engine.etcd.leases import MARGIN, Leases
from kv.engine.etcd.messages import (
    Message,
    Span,
    ask,
    delete,
    look,
    none_since,
    pairs,
    put,
    ranges,
    revision,
    size,
    transaction,
    unchanged,
)
from kv.engine.etcd.replica import Replica
from kv.errors import TooLarge, Unavailable, Unknown
from kv.model import SCHEMAS, Commit, Item, Result, make_item

CONDITIONS = 127
"""One less than what etcd takes, unless told otherwise."""
REQUEST_BYTES = 1536 * 1024 - 16 * 1024
"""What etcd takes in one request, unless told otherwise, less some for all that is not a value."""


@dataclass(frozen=True, slots=True)
class _Witness:
    """Where a transaction leaves its nonce. `lasting`: nobody else can write there."""

    key: bytes
    lasting: bool


class Writer:
    """Reads the replica, and leaves it to the follower to write there."""

    def __init__(self, gateway: Gateway, layout: Layout, replica: Replica, limits: Limits) -> None:
        self._gateway = gateway
        self._layout = layout
        self._replica = replica
        self._limits = limits
        self._leases = Leases(gateway)

    def write(self, commit: Commit, keys: Iterable[str]) -> Commit | None:
        """The commit with the revision it got; None when it was not carried out, for one of `keys` has changed.

        `commit` was weighed on the replica as it is at the call. Raises TooLarge, Full, Unavailable, Unknown.
        """
        conditions = self._conditions(keys)
        begun = time.monotonic()
        leases = {item.key: self._hold(item) for item in _passing(commit)}
        nonce = secrets.token_hex(8)
        operations = [each for item in commit.changes for each in self._operations(item, nonce, leases)]
        if size(operations) > REQUEST_BYTES:
            raise TooLarge(f"all that a commit writes may have {REQUEST_BYTES // 2} bytes on etcd")
        try:
            written = self._send(conditions, operations, nonce, self._witness(commit.changes))
        except LeaseGone:
            return None
        if written and time.monotonic() - begun > MARGIN:
            self._lengthen(leases.values())
        return _at(commit, written) if written else None

    def renew(self, commit: Commit) -> bool:
        """Begin the time of all keys with a ttl in `commit` anew; False when one of them has gone.

        Raises Unavailable.
        """
        held = [self._replica.lease_of(self._layout.passing(item.key)) for item in _passing(commit)]
        return all(bool(lease) and self._leases.renew(lease) for lease in held)

    def _lengthen(self, leases: Iterable[int]) -> None:
        """Their time began too long before the commit did."""
        try:
            for lease in leases:
                self._leases.renew(lease)
        except Unavailable as error:
            raise Unknown("this was written, but may go before its time") from error

    def forget(self, key: str) -> None:
        """Take a deleted key and its history out of etcd, unless it has changed. Raises Unavailable."""
        newest = self._replica.mirror.newest(key)
        if newest is not None:
            last = newest.version.number
            gone = [self._layout.version(key, number) for number in range(self._oldest(last), last + 1)]
            operations = [delete(Span(raw)) for raw in (self._layout.kept(key), *gone)]
            self._gateway.read(TXN, transaction(self._conditions([key]), operations))

    def _oldest(self, number: int) -> int:
        """The first version that is kept when `number` is the last."""
        return max(number - self._limits.versions + 1, 1)

    def _conditions(self, keys: Iterable[str]) -> list[Message]:
        """That all a commit was weighed on is as it was, schemas included."""
        places = []
        for key in keys:
            places.append(self._layout.kept(key))
            newest = self._replica.mirror.newest(key)
            if newest is None or not newest.live or not newest.version.kept:  # else it cannot have a ttl
                places.append(self._layout.passing(key))
        if len(places) > CONDITIONS:
            raise TooLarge("a commit on etcd may be about 60 keys that are not there")
        schemas, _ = self._layout.spans(SCHEMAS)
        return [
            none_since(schemas, self._replica.revision),
            *(unchanged(place, self._replica.revision_of(place)) for place in places),
        ]

    def _hold(self, item: Item) -> int:
        """A lease for it: the one that it has, if the ttl is the same."""
        old = self._replica.mirror.newest(item.key)
        lease = self._replica.lease_of(self._layout.passing(item.key))
        if lease and old is not None and old.version.ttl == item.version.ttl and self._leases.renew(lease):
            return lease
        return self._leases.grant(item.version.ttl or 0.0)

    def _operations(self, item: Item, nonce: str, leases: Mapping[str, int]) -> list[dict[str, Any]]:
        version, passing = item.version, self._layout.passing(item.key)
        value = item.value if item.live else None
        raw = Envelope(version.number, version.meta, nonce, value, version.ttl).encode()
        if not version.kept:
            return [put(passing, raw, leases[item.key]) if item.live else delete(Span(passing))]
        operations = [
            put(self._layout.kept(item.key), raw),
            put(self._layout.version(item.key, version.number), raw),
        ]
        if version.number > self._limits.versions:
            old = self._layout.version(item.key, version.number - self._limits.versions)
            operations.append(delete(Span(old)))
        if self._replica.revision_of(passing):
            operations.append(delete(Span(passing)))
        return operations

    def _witness(self, changes: Iterable[Item]) -> _Witness | None:
        lasting = [
            self._layout.version(item.key, item.version.number) for item in changes if item.version.kept
        ]
        passing = [self._layout.passing(item.key) for item in changes if item.live]
        places = lasting or passing
        return _Witness(places[0], bool(lasting)) if places else None

    def _send(
        self,
        conditions: list[Message],
        operations: list[dict[str, Any]],
        nonce: str,
        witness: _Witness | None,
    ) -> int | None:
        otherwise = [ask(look(Span(witness.key)))] if witness else []
        reply = self._gateway.write(TXN, transaction(conditions, operations, otherwise))
        if reply.message.get("succeeded"):
            return revision(reply.message)
        if not reply.doubtful:
            return None
        found = [pair for answer in ranges(reply.message) for pair in pairs(answer)]
        if found and decode(found[0].value).nonce == nonce:
            return found[0].revision
        if found and witness and witness.lasting:
            return None
        raise Unknown("etcd did not answer in time, and what was there has been overwritten since")


def _passing(commit: Commit) -> list[Item]:
    """What lasts for its ttl only, from now on."""
    items = [result.item for result in commit.results]
    return [item for item in items if item.live and not item.version.kept]


def _at(commit: Commit, written: int) -> Commit:
    """The same with the revision that etcd gave it."""
    return replace(commit, revision=written, results=tuple(_result(each, written) for each in commit.results))


def _result(result: Result, written: int) -> Result:
    if not result.changed:
        return result
    item, version = result.item, result.item.version
    value = item.value if item.live else None
    return replace(
        result, item=make_item(item.key, value, version.number, written, version.meta, ttl=version.ttl)
    )
