"""Bytes from one socket to another by way of the kernel alone (splice(2)), for large bodies.

Nothing is copied into this process. That pays from about half a megabyte on; below, the pipe costs more than
it saves. Only for streams that are `plain`: TLS must see the bytes.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Self

from app.stream import Stream

# A body with so many bytes still to come is worth a pipe.
WORTH_A_PIPE = 512 * 1024

# As much as Linux lets anybody have (fs.pipe-max-size); with less, each turn would move less.
SIZE = 1024 * 1024


class Pipe:
    """Holds what has come from one stream until the other has taken it; a context manager. Raises OSError."""

    __slots__ = ("_in", "_out")

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Who has many pipes may be refused a larger one: it does without.
        with suppress(OSError):
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, SIZE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._out)
        os.close(self._in)

    def fill(self, source: Stream, most: int) -> int:
        """Wait for bytes and take up to `most`; the pipe must be empty. 0: the peer has ended its side."""
        while True:
            source.wait_readable()
            with suppress(BlockingIOError):
                return os.splice(source.fileno(), self._in, min(most, SIZE), flags=os.SPLICE_F_NONBLOCK)

    def pour(self, sink: Stream, held: int) -> int:
        """Send of the `held` bytes in the pipe what the peer takes, once it takes any; how many that were."""
        while True:
            with suppress(BlockingIOError):
                return os.splice(self._out, sink.fileno(), held, flags=os.SPLICE_F_NONBLOCK)
            sink.wait_writable()


def open_pipe() -> Pipe | None:
    """None when no descriptors are left: the bytes then go by way of this process, which needs none."""
    try:
        return Pipe()
    except OSError:
        return None
