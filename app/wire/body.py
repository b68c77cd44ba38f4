"""How long a message body is, and its bytes taken out of their framing. No I/O.

`request_framing` and `response_framing` decide once, in the numbered steps of RFC 9112, 6.3. The answer is
an int: a number of bytes, or CHUNKED, UNTIL_CLOSE or UPGRADED. `decoder` gives the object that finds the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.errors import WireError
from app.wire.grammar import CHUNK_LINE, FIELD

CHUNKED = -1
UNTIL_CLOSE = -2
UPGRADED = -3  # what follows is no message but the protocol that was asked for

LAST_CHUNK = b"0\r\n\r\n"

# RFC 9112, 7.1.1 asks for a limit on chunk extensions; trailers get the one Apache and nginx give a line.
MAX_CHUNK_LINE = 256
MAX_TRAILERS = 8192


def request_framing(minor: int, lengths: list[bytes] | None, codings: list[bytes] | None) -> int:
    """Frame a request by its Content-Length and Transfer-Encoding values (RFC 9112, 6.1 and 6.3).

    Raises WireError 400 for anything two parsers could read in two ways, 501 for a coding not known.
    """
    if not codings:
        return _length(lengths) if lengths else 0
    if lengths:
        raise WireError(400, "length_and_coding", "Content-Length beside Transfer-Encoding")
    if minor == 0:
        raise WireError(400, "coding_in_1_0", "Transfer-Encoding in HTTP/1.0")
    return _chunked(codings)


def response_framing(
    minor: int, method: bytes, status: int, lengths: list[bytes] | None, codings: list[bytes] | None
) -> int:
    """Frame a response (RFC 9112, 6.3, steps 1 to 8). Raises WireError 502."""
    try:
        framing = _length(lengths) if lengths else UNTIL_CLOSE
        if codings:
            framing = _chunked(codings)
    except WireError as error:
        raise WireError(502, error.reason, str(error)) from error
    if codings and lengths:
        raise WireError(502, "length_and_coding", "Content-Length beside Transfer-Encoding")
    if codings and minor == 0:
        raise WireError(502, "coding_in_1_0", "Transfer-Encoding in HTTP/1.0")
    if status == 101:
        return UPGRADED
    if status in _NO_BODY or status < 200 or method == b"HEAD":
        return 0
    return framing


_NO_BODY = frozenset((204, 304))


def _chunked(codings: list[bytes]) -> int:
    if len(codings) == 1 and codings[0].lower() == b"chunked":
        return CHUNKED
    names = [name.strip(b" \t").lower() for coding in codings for name in coding.split(b",")]
    if b"" in names or b"chunked" in names:
        raise WireError(400, "bad_coding", "chunked must be the only transfer coding")
    raise WireError(501, "unknown_coding", "the only transfer coding is chunked")


def _length(lengths: list[bytes]) -> int:
    """RFC 9110, 8.6: 1*DIGIT. Stricter: 18 digits, which fit any signed 64-bit integer, and no list of equals."""
    digits = lengths[0]
    if len(lengths) > 1 or not digits.isdigit() or len(digits) > 18:
        raise WireError(400, "bad_length", "Content-Length must be one plain number")
    return int(digits)


class Decoder(Protocol):
    """Finds the end of a body. After `done`, `rest` holds the bytes that came after it."""

    done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire, give back the payload in them. Raises WireError 400."""

    def end(self) -> bool:
        """The peer has closed: was the body whole?"""


class Sized:
    """A body of a known number of bytes, of which `left` are still to come."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.rest = b""

    def skip(self, size: int) -> None:
        """So many bytes have gone another way."""
        self.left -= size
        self.done = self.left == 0

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        size = len(data)
        if size < self.left:
            self.left -= size
            return data
        self.done = True
        payload, self.rest = data[: self.left], data[self.left :]
        self.left = 0
        return payload

    def end(self) -> bool:
        """See Decoder."""
        return self.done


class UntilClose:
    """What ends where the connection ends: a response body, or another protocol."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        return data

    def end(self) -> bool:
        """See Decoder."""
        self.done = True
        return True


class Chunked:
    """The chunked coding (RFC 9112, 7.1). Extensions and trailers are checked and dropped."""

    __slots__ = ("_at", "_buffer", "_left", "_step", "done", "rest")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._step: Callable[[list[bytes]], bool] = self._size
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """See Decoder."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        payload: list[bytes] = []
        while self._step(payload):
            pass
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def end(self) -> bool:
        """See Decoder."""
        return self.done

    # A step takes what it can from the buffer at `_at`, and says whether the next one may go on.

    def _size(self, payload: list[bytes]) -> bool:
        """All chunks that are here whole, too: a body may be nothing but chunks of one byte."""
        buffer, at = self._buffer, self._at
        while (line := CHUNK_LINE.match(buffer, at)) is not None:
            start = line.end()
            if start - at > MAX_CHUNK_LINE:
                raise WireError(400, "bad_chunk", "a chunk's size line is too long")
            size = int(line[1], 16)
            end = start + size
            if not size or buffer[end : end + 2] != b"\r\n":
                self._at = start
                return self._begin(size)
            payload.append(buffer[start:end])
            at = end + 2
        self._at = at
        _check_chunk_line_prefix(buffer[at:])
        return False

    def _begin(self, size: int) -> bool:
        self._left = size or MAX_TRAILERS
        self._step = self._data if size else self._trailer
        return True

    def _data(self, payload: list[bytes]) -> bool:
        taken = self._buffer[self._at : self._at + self._left]
        if not taken:
            return False
        payload.append(taken)
        self._at += len(taken)
        self._left -= len(taken)
        if not self._left:
            self._step = self._data_end
        return True

    def _data_end(self, _payload: list[bytes]) -> bool:
        end = self._buffer[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise WireError(400, "bad_chunk", "a chunk is longer than its size")
        if len(end) < 2:
            return False
        self._at += 2
        self._step = self._size
        return True

    def _trailer(self, _payload: list[bytes]) -> bool:
        at, end = self._at, self._buffer.find(b"\n", self._at) + 1
        size = (end or len(self._buffer)) - at
        if size > self._left:
            raise WireError(400, "bad_trailers", "the trailer section is too long")
        if not end:
            return False
        self._at = end
        self._left -= size
        if self._buffer[at:end] == b"\r\n":
            self.done = True
            self.rest = self._buffer[end:]
        elif not FIELD.fullmatch(self._buffer, at, end):
            raise WireError(400, "bad_trailers", "a trailer is malformed")
        return not self.done


def _check_chunk_line_prefix(begun: bytes) -> None:
    size = begun.split(b";", 1)[0].rstrip(b"\r \t")
    hopeless = b"\n" in begun or len(begun) > MAX_CHUNK_LINE
    if hopeless or (begun and not CHUNK_LINE.match(size + b"\r\n")):
        raise WireError(400, "bad_chunk", "a chunk's size line is malformed")


def decoder(framing: int) -> Decoder:
    """The decoder for an answer of `request_framing` or `response_framing`."""
    if framing == CHUNKED:
        return Chunked()
    return UntilClose() if framing < 0 else Sized(framing)


def chunk(payload: bytes) -> bytes:
    """One chunk of `payload`, which must not be empty: an empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
