"""Where the rest of a request's body comes from, whichever front has it, and what of it is kept for another try."""

from __future__ import annotations

from typing import Protocol

from app.pipe import Pipe

# A body of known length up to this many bytes is read whole before a server is bothered with it; of any other as
# many are kept for another try.
SMALL_BODY = 64 * 1024


class BodySource(Protocol):
    """The part of a request body that is still to come. A source that knows no pipes is a subclass."""

    def read(self) -> bytes:
        """Wait for the next bytes of payload; b"" at the end. Raises SerinError or OSError."""

    @property
    def done(self) -> bool:
        """Has the end been read, as far as is known?"""
        return False

    @property
    def kept(self) -> bool:
        """Is all that has been read still there, to be read once more after `rewind`?"""
        return False

    def rewind(self) -> None:
        """Begin anew with the next read, of a body that is kept."""
        raise TypeError("this source keeps nothing")

    @property
    def left(self) -> int:
        """How many bytes may still come by a pipe."""
        return 0

    def read_into(self, pipe: Pipe) -> int:
        """As `read`, into a pipe, while bytes are `left`: how many came."""
        raise TypeError("this source knows no pipes")


class KeptBody(BodySource):
    """A BodySource that can be read again from its begin, until more than SMALL_BODY has been read.

    `resumes`: a read of `source` that is given up loses nothing, the next one gets what comes after.
    """

    __slots__ = ("_again", "_ended", "_read", "_resumes", "_source", "_whole")

    def __init__(self, source: BodySource, *, resumes: bool) -> None:
        self._source = source
        self._resumes = resumes
        self._read = bytearray()
        self._whole = True
        self._again = b""
        self._ended = False

    def read(self) -> bytes:
        """See BodySource."""
        payload, self._again = self._again, b""
        if not payload and not self._ended:
            payload = self._read_on()
        return payload

    def _read_on(self) -> bytes:
        whole, self._whole = self._whole, self._whole and self._resumes
        payload = self._source.read()
        self._whole = whole and len(self._read) + len(payload) <= SMALL_BODY
        if self._whole:
            self._read += payload
        else:
            self._read.clear()
        self._ended = not payload
        return payload

    @property
    def done(self) -> bool:
        """See BodySource."""
        return self._source.done

    @property
    def kept(self) -> bool:
        """See BodySource."""
        return self._whole

    def rewind(self) -> None:
        """See BodySource."""
        self._again = bytes(self._read)
