"""What has befallen the visitors of one instance who stick: of each kind only the first time, and each bucket once.

Told of what comes in the order of time. It knows no visitors, only their buckets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import chain, groupby, islice

from app.rollout.buckets import BUCKETS, SLICE_BYTES, SLICES
from app.rollout.observed import KINDS, MOST_RECENT, Recent, Visitors

# What may befall a bucket, as bits: it sent a request, the canary got it, and KINDS.
SEEN, CANARY = 1, 2
HIT = {kind: 4 << place for place, kind in enumerate(KINDS)}
_LEAST_HIT = min(HIT.values())
# An event is in so many reports at the most, for not each of them is read.
_TOLD = 32
# And in two at the least: so many new ones are taken between two. What is too much for that has not been met yet.
_MOST_NEW = MOST_RECENT // 2
# The part of a slice that one bit of a byte makes.
_BITS = tuple(bytes(0 if byte & SEEN else 1 << bit for byte in range(256)) for bit in range(8))

Event = tuple[int, float]


class Crowd:
    """`fresh` has a byte for each bucket: what it has not met since `begin`. `note` is for what it has not.

    `begun`: it has been told of something since then.
    """

    __slots__ = ("_canaries", "_new", "_part", "_told", "begun", "fresh")

    def __init__(self) -> None:
        self._part = 0
        self.begun = True
        self.begin()

    def begin(self) -> None:
        """Another canary: nobody has met anything."""
        if not self.begun:
            return  # a mebibyte is much to write for nothing
        self.begun = False
        self.fresh = bytearray(b"\xff") * BUCKETS
        self._canaries = 0
        self._new: dict[str, list[Event]] = {kind: [] for kind in KINDS}
        self._told: dict[str, deque[list[Event]]] = {kind: deque(maxlen=_TOLD) for kind in KINDS}

    def note(self, marks: int, bucket: int, ratio: float) -> None:
        """A request that was routed by this ratio has met all of `marks`."""
        self.begun = True
        new = marks & self.fresh[bucket]
        if new >= _LEAST_HIT:
            new = self._hit(new, bucket, ratio)
        self.fresh[bucket] ^= new
        if new & CANARY:
            self._canaries += 1

    def _hit(self, marks: int, bucket: int, ratio: float) -> int:
        """The marks without those that there is no room for."""
        for kind, bit in HIT.items():
            if marks & bit:
                events = self._new[kind]
                if len(events) < _MOST_NEW:
                    events.append((bucket, ratio))
                else:
                    marks ^= bit
        return marks

    def report(self) -> Visitors:
        """For the next report."""
        self._part = (self._part + 1) % SLICES
        recent = {kind: self._recent(kind) for kind in KINDS}
        return Visitors(self._part, self._seen(self._part), recent, self._canaries)

    def _recent(self, kind: str) -> tuple[Recent, ...]:
        batches = self._told[kind]
        batches.append(self._new[kind])
        self._new[kind] = []
        newest = islice(chain.from_iterable(map(reversed, reversed(batches))), MOST_RECENT)
        return _grouped(reversed(list(newest)))

    def _seen(self, part: int) -> bytes:
        columns = (
            self.fresh[8 * part + bit :: 8 * SLICES].translate(table) for bit, table in enumerate(_BITS)
        )
        return sum(map(int.from_bytes, columns)).to_bytes(SLICE_BYTES)


def _grouped(events: Iterable[Event]) -> tuple[Recent, ...]:
    return tuple(
        Recent(ratio, tuple(bucket for bucket, _ in group))
        for ratio, group in groupby(events, key=lambda event: event[1])
    )
