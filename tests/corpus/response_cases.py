"""The cases of `responses/`: what a server sends, and what its client must see.

A sentence: the rule, and where it stands.
200 kept                      the status, and whether the connection to the server is kept or dropped
502 bad_length                or a refusal with its reason; the connection is always dropped
cut truncated                 or an answer that breaks off with a reset, and why; dropped as well
--- request                   only where it is not a plain GET; if it is not whole, the answer comes early
--- server
the bytes it sends            as in `cases`; {close} or {reset}: how it leaves, if it does
--- client                    only where these are not the bytes of the server
the exact bytes               its chunks as one: where a stream is cut into chunks is nobody's promise
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.cases import unescape
from tests.proxy.peer import GET

FOLDER = Path(__file__).parent / "responses"
_SECTION = re.compile(r"\n--- (\w+)\n")
_LEAVES = re.compile(r"\{(close|reset)\}\n*$")


@dataclass(frozen=True, slots=True)
class ResponseCase:
    """`status` is 0 for an answer that breaks off; `leaves` is "close", "reset" or "". See above for the rest."""

    name: str
    status: int
    reason: str
    kept: bool
    request: bytes
    server: bytes
    leaves: str
    client: bytes


def load() -> list[ResponseCase]:
    """Every case, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.http"))]


def _read(path: Path) -> ResponseCase:
    preamble, *rest = _SECTION.split(path.read_text())
    _sentence, fate = preamble.split("\n")
    status, _, word = fate.partition(" ")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    server = unescape(_LEAVES.sub("", sections["server"]))
    leaves = _LEAVES.search(sections["server"])
    return ResponseCase(
        path.stem,
        0 if status == "cut" else int(status),
        "" if word in ("kept", "dropped") else word,
        word == "kept",
        unescape(sections["request"]) if "request" in sections else GET,
        server,
        leaves[1] if leaves else "",
        unescape(sections["client"]) if "client" in sections else server,
    )
