"""Where a visitor belongs, decided from an id alone: every instance decides alike, and nothing is shared.

One keyed digest of the id (128 bits) is all that is needed: its upper half is the visitor's point in [0, 1),
which decides the version; its lower half, mixed with a server's seed, decides the server (rendezvous
hashing).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import ceil

from app.balance.facts import Facts, reader
from app.balance.server import Server
from app.config.model import StickyConfig

_LONGEST_COOKIE = 128
_MASK = 2**64 - 1


def digester(key: bytes) -> Callable[[bytes], int]:
    """A visitor's id to 128 bits of keyed BLAKE2b (RFC 7693): who does not know the key cannot choose an id for
    its place.

    The key is the salt's UTF-8 bytes, at most 64: the schema sees to it. Its own block is hashed once, here.
    """
    keyed = blake2b(digest_size=16, key=key)

    def digest(visitor: bytes) -> int:
        state = keyed.copy()
        state.update(visitor)
        return int.from_bytes(state.digest())

    return digest


def fraction(visitor_digest: int) -> float:
    """The point in [0, 1) of a digest: its first 53 bits, all that a float holds."""
    return (visitor_digest >> 75) * 2.0**-53


def threshold(ratio: float) -> int:
    """The least digest whose fraction is not below `ratio`."""
    return ceil(ratio * 2.0**53) << 75


def point(visitor: bytes, salt: bytes) -> float:
    """The visitor's point in [0, 1): on the canary if it is below the ratio. `salt` is at most 64 bytes."""
    return fraction(digester(salt)(visitor))


class Rendezvous:
    """Weighted rendezvous hashing: each server draws a score for the visitor, and the best one wins.

    The score -w / ln(u), u uniform in [0, 1], is the best with probability w / sum of w (Schindelhauer and
    Schomaker 2005, "Weighted Distributed Hash Tables"); u ** (1 / w) has the same order. A score depends on
    visitor and server alone, so a server that goes moves only its own visitors, and one that comes takes only
    its own share. O(n).
    """

    __slots__ = ("_entries",)

    def __init__(self, servers: Sequence[Server]) -> None:
        self._entries = [(server.seed, 1 / server.weight, server) for server in servers]

    def place(self, visitor_digest: int) -> Server:
        """The server of the visitor with this digest."""
        entries = self._entries
        winner, best = entries[0][2], -1.0
        if len(entries) == 1:
            return winner
        visitor = visitor_digest & _MASK
        for seed, exponent, server in entries:
            # Multiply and fold, as wyhash mixes; one round is enough, since both inputs are uniform already.
            product = (visitor ^ seed) * 0x9E3779B97F4A7C15
            score = (((product ^ product >> 64) & _MASK) * 2.0**-64) ** exponent
            if score > best:
                winner, best = server, score
        return winner


class Identity:
    """Who a visitor is: what `sticky.key` names, when it is there; else the id in our cookie."""

    __slots__ = ("_attributes", "_cookie", "_key", "_name")

    def __init__(self, sticky: StickyConfig) -> None:
        self._name = sticky.cookie.encode()
        self._attributes = b"; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % ceil(sticky.ttl)
        self._cookie = reader("cookie", sticky.cookie)
        self._key = reader(sticky.key.kind, sticky.key.name) if sticky.key else None

    def of(self, facts: Facts) -> bytes | None:
        """The visitor's id, or None for a new visitor. A cookie that cannot be ours counts as none."""
        if self._key and (shown := self._key(facts)):
            return shown
        visitor = self._cookie(facts)
        return visitor if visitor and len(visitor) <= _LONGEST_COOKIE else None

    def set_cookie(self, visitor: bytes, secure: bool) -> bytes:
        """The value of the Set-Cookie field (RFC 6265, 4.1) that lets a visitor keep its id; `secure` under TLS.

        Only the id is in it, never the version.
        """
        return b"%b=%b%b%b" % (self._name, visitor, self._attributes, b"; Secure" if secure else b"")


def new_visitor(rng: random.Random) -> bytes:
    """A new id: 128 random bits in hex."""
    return b"%032x" % rng.getrandbits(128)
