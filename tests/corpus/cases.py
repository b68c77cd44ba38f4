"""The cases of `requests/`: what one client sends on a connection, and what must become of it.

A sentence: the rule, and where it stands.
400 bad_host                  the status of each answer; after a refusal, which is the last, its reason
--- client
what the client sends         white space at the end of a line counts, the line's own end does not:
GET / HTTP/1.1\\r\\n            the ends of lines, and bytes that are not text, are written as escapes
--- server                    one for each request that is accepted:
the exact bytes               {from} are the lines that tell where it came from, {id} is an id made by us;
                              {from 1.0} if the client spoke another version than 1.1
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from app.wire.forward import provenance

FOLDER = Path(__file__).parent / "requests"
_FROM = re.compile(rb"\{from(?: (1\.[0-9]))?\}")
_HOST = re.compile(rb"\r\nHost:[ \t]*(.*?)[ \t]*\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """`reason` is empty unless the last answer is a refusal; `server` has what was accepted, in order."""

    name: str
    statuses: list[int]
    reason: str
    client: bytes
    server: list[bytes]

    @property
    def cut(self) -> bool:
        """Does the client leave in the middle? What it sends after is then no next request."""
        return self.reason.endswith("_cut")


def load() -> list[Case]:
    """Every case, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("*.http"))]


def _read(path: Path) -> Case:
    preamble, _, messages = path.read_text().partition("\n--- client\n")
    _sentence, fate = preamble.split("\n")
    *statuses, last = fate.split(" ")
    reason = "" if last.isdigit() else last
    client, *server = messages.split("\n--- server\n")
    return Case(
        path.stem,
        [int(status) for status in (statuses if reason else [*statuses, last])],
        reason,
        unescape(client),
        [_with_provenance(unescape(request)) for request in server],
    )


def _with_provenance(request: bytes) -> bytes:
    host = _HOST.search(request)
    assert host is not None
    lines = provenance("127.0.0.1", "http") + b"X-Forwarded-Host: %b\r\n" % host[1]
    return _FROM.sub(lambda found: lines.replace(b"1.1", found[1] or b"1.1"), request)


def unescape(text: str) -> bytes:
    """The bytes that a section of a case stands for."""
    return text.replace("\n", "").encode("latin-1").decode("unicode_escape").encode("latin-1")
