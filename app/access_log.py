"""The access log: one line a request, gathered in memory and written a moment later.

A greenlet hands what has gathered to a native thread, in whole lines and at the file's end, so several workers may
share a file. Whoever moves the file away finds a new one in its place within a second: logrotate needs no signal.
Requests never wait for a disk: what it does not take in time is dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import gmtime, strftime, time

import gevent
from gevent import get_hub
from gevent.event import Event

log = logging.getLogger(__name__)

# Seconds between two writes, and the bytes that may gather meanwhile.
PERIOD = 0.5
MOST = 16 * 1024 * 1024

STANDARD_OUTPUT = "-"


class AccessLog:
    """`write` takes lines until `stop`, which writes the last of them. `path` STANDARD_OUTPUT: to there.

    `dropped` counts lines that are lost. `append` puts bytes at the end of the file of that name, and is called in a
    native thread. Raises OSError.
    """

    __slots__ = (
        "_append",
        "_greenlet",
        "_held",
        "_lines",
        "_path",
        "_second",
        "_stamp",
        "_stopping",
        "dropped",
    )

    def __init__(self, path: str, append: Callable[[str, bytes], None] | None = None) -> None:
        self._path = path
        self._append = append or Appender().append
        self._lines: list[bytes] = []
        self._held = 0
        self._second = 0
        self._stamp = b""
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._stopping = Event()
        self.dropped = 0

    def start(self) -> None:
        """Begin to write. Raises OSError when the file is not to be had."""
        if error := get_hub().threadpool.apply(_attempt, (self._append, self._path, b"")):
            raise error
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Write what there is, and no more."""
        if self._greenlet is not None:
            self._stopping.set()
            self._greenlet.join()  # a write under way is finished: two at once might change places
            self._greenlet = None

    def stamp(self) -> bytes:
        """The time as a line begins with it, in UTC."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._stamp = strftime("[%d/%b/%Y:%H:%M:%S +0000]", gmtime(second)).encode()
        return self._stamp

    def write(self, line: bytes) -> None:
        """Take a line, its end included."""
        self._held += len(line)
        if self._held > MOST:
            self._held -= len(line)
            self.dropped += 1
        else:
            self._lines.append(line)

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._held = self._lines, [], 0
        if not lines:
            return
        before = self.dropped
        error = get_hub().threadpool.apply(_attempt, (self._append, self._path, b"".join(lines)))
        if error is not None:
            self.dropped += len(lines)
        if lost := self.dropped - before:
            log.error("the access log lost %d lines: %s", lost, error or "the disk is too slow")


class Appender:
    """Appends to a file, the one that has the name now."""

    def __init__(self) -> None:
        self._descriptor = -1

    def append(self, path: str, data: bytes) -> None:
        """Write all of `data` at the end. Raises OSError."""
        target = sys.stdout.fileno() if path == STANDARD_OUTPUT else self._open(path)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(target, rest) :]

    def _open(self, path: str) -> int:
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptor), os.stat(path)):  # noqa: PTH116  # Path has none for descriptors
                return self._descriptor
        self._close()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _attempt(append: Callable[[str, bytes], None], path: str, data: bytes) -> OSError | None:
    """gevent prints the trace of whatever is raised in a thread of its pool, expected or not; so nothing is."""
    try:
        append(path, data)
    except OSError as error:
        return error
    return None
