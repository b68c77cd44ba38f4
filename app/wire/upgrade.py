"""Leaving HTTP for another protocol on the same connection (RFC 9110, 7.8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from app.wire.grammar import TOKEN

# RFC 9110, 7.8: protocol-name ["/" protocol-version]. HTTP/2, its drafts too ("h2c-14"), would take the requests that
# follow past every rule of ours; TLS would hide them.
_PROTOCOL = re.compile(rb"(?i)(?!(?:h2c?|http|tls)(?:[/-]|\Z))%b(?:/%b)?" % (TOKEN, TOKEN))


def members(values: Iterable[bytes]) -> list[bytes]:
    """The members of a list field (RFC 9110, 5.6.1), empty ones too."""
    return [member.strip(b" \t") for value in values for member in value.split(b",")]


def offered(minor: int, framing: int, fields: Mapping[bytes, list[bytes]]) -> bytes:
    """The protocols a request offers to switch to, b"" for none. `fields`: values by name in small letters.

    Never in HTTP/1.0, and only if Connection names the field. Stricter: not with a body, for then two
    protocols would meet in one direction of the connection.
    """
    named = b"upgrade" in (option.lower() for option in members(fields.get(b"connection", ())))
    if not named or not minor or framing:
        return b""
    return b", ".join(filter(_PROTOCOL.fullmatch, members(fields.get(b"upgrade", ()))))


def accepts(offer: bytes, answer: bytes) -> bool:
    """A server may switch only to what it was offered, and must say to what."""
    protocols = members((offer.lower(),))
    return bool(answer) and all(each in protocols for each in members((answer.lower(),)))
