"""A config document as it is stored, not as what it says."""

from __future__ import annotations

from dataclasses import dataclass

ABSENT = "0"  # the ETag of a key that has no document
LARGEST_ANSWER = 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """A config document as stored. `etag` has no quotes; it and `revision` are None for a local file."""

    raw: bytes
    etag: str | None
    revision: int | None
    url: str
