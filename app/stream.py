"""A connected socket that waits first and reads after, and keeps its watcher running between reads.

gevent's own `recv` tries the system call, catches EAGAIN and only then waits; on a proxy nearly every first
read would block. And libev asks the kernel (epoll_ctl) each time a watcher starts or stops. So the watcher
of a Stream stays started: it wakes whoever reads, and stops itself when it fires and nobody does.

One greenlet reads and one writes at a time. A wait ends early only by `shut`: the peer then seems gone, and
whoever called `shut` left a note why. That is how time limits work without a timer for each request.
"""

from __future__ import annotations

import _socket
import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import Any, ClassVar

from gevent.hub import get_hub
from greenlet import getcurrent

READ, WRITE = 1, 2
READ_SIZE = 64 * 1024

# Linux's struct tcp_info: where tcpi_bytes_acked stands, and the bytes that must be asked for to have it.
BYTES_ACKED = slice(120, 128)


# The answer of FIONREAD. One will do: nothing else runs between the question and the look at it.
NOTHING = bytes(4)
_unread = bytearray(NOTHING)


class PartlySent(OSError):
    """The peer was lost when the kernel had already taken a part of what was to be written."""


class Stream:
    """Reads and writes bytes; raises OSError as the socket does. `plain`: what is sent is what is written."""

    plain: ClassVar[bool] = True

    __slots__ = ("_hub", "_readable", "_reader", "_recv", "_send", "_socket", "_watching", "on_idle_data")

    def __init__(self, sock: _socket.socket) -> None:
        """Take over `sock`, a connected, non-blocking socket of the C module: gevent's class would wait by itself."""
        self._socket = sock
        self._recv = sock.recv
        self._send = sock.send
        self._hub = get_hub()
        self._readable = self._hub.loop.io(sock.fileno(), READ)
        self._reader: Any = None
        self._watching = False
        self.on_idle_data: Callable[[], None] | None = None

    def read(self) -> bytes:
        """Wait for bytes and return what is there, up to 64 KiB. b"" when the peer has ended its side."""
        # As wait_readable, which is not called: every request reads twice.
        if not self._watching:
            self.watch()
        self._reader = getcurrent()
        try:
            self._hub.switch()
            return self._recv(READ_SIZE)
        except BlockingIOError:
            return self.read()
        finally:
            self._reader = None

    def wait_readable(self) -> None:
        """Wait until there is something to read, be it the end."""
        if not self._watching:
            self.watch()
        self._reader = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._reader = None

    def watch(self) -> None:
        """Have `on_idle_data` called, in the hub, when the peer sends or closes and nobody reads."""
        if not self._watching:
            self._watching = True
            self._readable.start(self._on_readable)

    def _on_readable(self) -> None:
        reader = self._reader
        if reader is not None:
            reader.switch()
            return
        self._readable.stop()
        self._watching = False
        if self.on_idle_data is not None:
            self.on_idle_data()

    def write(self, data: bytes) -> None:
        """Send all of `data`; waits while the peer does not take it.

        Raises PartlySent if some of it is on its way; any other OSError means that nothing is.
        """
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._write_rest(memoryview(data)[sent:])

    def mention(self, data: bytes) -> None:
        """Send a few bytes if the kernel takes them at once, else none: never in the middle of another's `write`.

        Raises OSError as `write` does.
        """
        with suppress(BlockingIOError):
            if self._send(data) < len(data):
                raise PartlySent(errno.EAGAIN, "the peer does not read")

    def _write_rest(self, rest: memoryview) -> None:
        while rest:
            self.wait_writable()
            try:
                rest = rest[self._send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise PartlySent(error.errno, error.strerror) from error

    def wait_writable(self) -> None:
        """Wait until the kernel takes more."""
        watcher = self._hub.loop.io(self._socket.fileno(), WRITE)
        try:
            self._hub.wait(watcher)
        finally:
            watcher.close()

    def fileno(self) -> int:
        """The socket's descriptor, for what only the kernel can do with it."""
        return self._socket.fileno()

    def ended(self) -> bool:
        """Has the peer ended its side, with nothing unread before that? Never waits.

        Raises OSError when it is gone altogether: after its end only SO_ERROR tells of a reset, recv does not.
        """
        if code := self._socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            raise OSError(code, os.strerror(code))
        try:
            return not self._recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return False

    def quiet(self) -> bool:
        """Has the peer sent nothing that is still unread? Never waits; an end is nothing."""
        ioctl(self._socket.fileno(), FIONREAD, _unread)
        return _unread == NOTHING

    def acknowledged(self) -> int | None:
        """How many bytes the peer's kernel has taken so far (RFC 9293, SND.UNA); None if that is not told."""
        try:
            info = self._socket.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_INFO, BYTES_ACKED.stop)
        except OSError:
            return None
        return int.from_bytes(info[BYTES_ACKED], sys.byteorder) if len(info) == BYTES_ACKED.stop else None

    def shut(self) -> None:
        """End both directions now. Whoever waits on this stream finds the peer gone."""
        with suppress(OSError):
            self._socket.shutdown(_socket.SHUT_RDWR)

    def stop_reading(self) -> None:
        """End only our reading side: a waiting reader gets b"", and can still answer."""
        with suppress(OSError):
            self._socket.shutdown(_socket.SHUT_RD)

    def stop_writing(self) -> None:
        """Tell the peer that nothing more comes, and go on reading."""
        with suppress(OSError):
            self._socket.shutdown(_socket.SHUT_WR)

    def abort(self) -> None:
        """Close with a reset, so that the peer cannot take a cut answer for a whole one."""
        with suppress(OSError):
            self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Give the socket back to the kernel. Closing twice is allowed."""
        self._readable.close()
        self._socket.close()
