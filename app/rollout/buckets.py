"""Sets of hash buckets, one bit for each: who of a sticky service's visitors was seen, and whom something befell.

A bucket is the first 20 bits of a visitor's point in [0, 1) (see `balance.sticky`), so those below ratio·2^20
are the canary's. Knows nothing of visitors beyond that.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode

BUCKETS = 2**20
_BYTES = BUCKETS // 8
# A set travels in parts: part n is each 32nd byte from the n-th on, which is a fair sample of all buckets.
SLICES = 32
SLICE_BYTES = _BYTES // SLICES


def canaries(ratio: float) -> int:
    """The first bucket that is not the canary's at this ratio."""
    return round(ratio * BUCKETS)


class Buckets:
    """A set of buckets, in 128 KiB."""

    __slots__ = ("_bits",)

    def __init__(self, bits: bytearray | None = None) -> None:
        self._bits = bytearray(_BYTES) if bits is None else bits

    def __contains__(self, bucket: int) -> bool:
        return bool(self._bits[bucket >> 3] >> (bucket & 7) & 1)

    def add(self, bucket: int) -> None:
        """Put one in, if it is not there already."""
        self._bits[bucket >> 3] |= 1 << (bucket & 7)

    def slice(self, number: int) -> bytes:
        """One of SLICES parts."""
        return bytes(self._bits[number::SLICES])

    def join(self, number: int, part: bytes) -> None:
        """Put in what is in a part of another set."""
        own = int.from_bytes(self._bits[number::SLICES])
        self._bits[number::SLICES] = (own | int.from_bytes(part)).to_bytes(SLICE_BYTES)

    def unite(self, bits: bytes | bytearray, end: int) -> None:
        """Put in what is in another set's bits, of the buckets before `end`."""
        others = int.from_bytes(bits, "little") & (1 << end) - 1
        self._bits[:] = (int.from_bytes(self._bits, "little") | others).to_bytes(_BYTES, "little")

    def count(self, end: int, without: Buckets) -> tuple[int, int]:
        """How many before `end`, and how many from there on, are in this set and not in the other."""
        own, other = (int.from_bytes(each._bits, "little") for each in (self, without))
        rest = own ^ own & other
        below = (rest & (1 << end) - 1).bit_count()
        return below, rest.bit_count() - below

    def dump(self) -> str:
        """As a text; short when the set is small."""
        return b64encode(zlib.compress(self._bits, 1)).decode()

    @classmethod
    def load(cls, text: str) -> Buckets:
        """The set that was dumped. Raises ValueError."""
        try:
            bits = bytearray(zlib.decompress(b64decode(text, validate=True), bufsize=_BYTES))
        except zlib.error as fault:
            raise ValueError(str(fault)) from None
        if len(bits) != _BYTES:
            raise ValueError("is not a set of buckets")
        return cls(bits)
