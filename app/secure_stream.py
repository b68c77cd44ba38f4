"""TLS over a Stream, in the place of a plain one (RFC 8446; RFC 5246 for TLS 1.2).

OpenSSL works on memory here and never sees the socket. So one greenlet may wait to read while another waits to
write, and time limits work as they do on a plain Stream. Knows nothing of certificates: contexts come ready.
"""

from __future__ import annotations

import errno
import ssl
from contextlib import suppress

from gevent.lock import BoundedSemaphore

from app.errors import WireError
from app.stream import READ_SIZE, PartlySent, Stream

# RFC 8446, 5.1: the most that one record carries. Steps of this size also keep OpenSSL's memory small, which grows
# to the largest step ever taken and never shrinks.
RECORD = 16 * 1024


class SecureStream(Stream):
    """Reads and writes like a Stream, through another one, which it takes over.

    A peer must say that it has ended (close_notify); one that only closes its connection may have been cut off by
    anybody on the way, and then a read raises ConnectionResetError.
    """

    plain = False

    __slots__ = (
        "_ahead",
        "_ended",
        "_fault",
        "_incoming",
        "_outgoing",
        "_sending",
        "_stopped",
        "_stream",
        "_tls",
        "_whole",
    )

    def __init__(
        self,
        stream: Stream,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """The arguments of SSLContext.wrap_bio. Nothing is sent before `handshake`."""
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname, session)
        self._sending = BoundedSemaphore(1)
        self._ahead = b""
        self._fault: OSError | None = None
        self._ended = self._stopped = self._whole = False
        self.on_idle_data, stream.on_idle_data = stream.on_idle_data, self._stirred

    def handshake(self, received: bytes = b"") -> None:
        """Wait until both sides agree. `received`: what has been read from the stream already.

        Raises OSError: ssl.SSLCertVerificationError when the peer is not who it should be, ssl.SSLError when it
        does not speak our TLS.
        """
        self._incoming.write(received)
        while not self._agreed():
            self._incoming.write(self._unended(self._stream.read()))
        self._whole = True
        self._ahead = self._decrypted()

    @property
    def session(self) -> ssl.SSLSession | None:
        """What lets a next connection to the same server begin with less work."""
        return self._tls.session

    def read(self) -> bytes:
        """See Stream."""
        data, self._ahead = self._ahead, b""
        while not data and not self._ended:
            if self._fault is not None:
                raise self._fault
            data = self._receive()
        return data

    def watch(self) -> None:
        """See Stream. What only TLS itself has to say (session tickets, new keys) stirs nobody."""
        self._stream.watch()

    def ended(self) -> bool:
        """See Stream."""
        if self._fault is not None:
            raise self._fault
        self._stream.ended()
        with suppress(BlockingIOError):
            self._ahead += self._decipher(self._stream._recv(READ_SIZE))
        return self._ended and not self._ahead

    def quiet(self) -> bool:
        """See Stream. What only TLS itself has to say is nothing."""
        return (self._stream.quiet() or not self._tells()) and not self._ahead

    def acknowledged(self) -> int | None:
        """See Stream; the bytes are those of TLS."""
        return self._stream.acknowledged()

    def write(self, data: bytes) -> None:
        """See Stream."""
        view, start = memoryview(data), 0
        try:
            for start in range(0, len(view), RECORD):
                self._tls.write(view[start : start + RECORD])
                self._flush()
        except BaseException as error:
            self._whole = False
            if start and isinstance(error, OSError):
                raise PartlySent(error.errno, error.strerror) from error
            raise

    def mention(self, data: bytes) -> None:
        """See Stream. A record may wait for its turn: records do not mix."""
        self.write(data)

    def shut(self) -> None:
        """See Stream."""
        self._stream.shut()

    def stop_reading(self) -> None:
        """See Stream."""
        self._stopped = True
        self._stream.stop_reading()

    def stop_writing(self) -> None:
        """See Stream. Waits while the peer does not take what is still to be said."""
        with suppress(OSError):
            self._say_goodbye()
            self._flush()
        self._stream.stop_writing()

    def abort(self) -> None:
        """See Stream. No close_notify: this is not an end."""
        self._stream.on_idle_data = None
        self._stream.abort()

    def close(self) -> None:
        """See Stream. Never waits: who does not read our close_notify does without it."""
        with suppress(OSError):
            self._say_goodbye()
            self._stream._send(self._outgoing.read())
        self._stream.on_idle_data = None
        self._stream.close()

    def _agreed(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()  # also the alert that says why it failed
        return True

    def _receive(self) -> bytes:
        try:
            return self._decipher(self._stream.read())
        finally:
            # A peer that reads nothing must not keep us from reading; whoever writes sends this along.
            if self._outgoing.pending and not self._sending.locked():
                self._flush()

    def _decipher(self, data: bytes) -> bytes:
        """What `data`, as received, means. Nothing whole stays behind, where `watch` would not see it."""
        if len(data) <= RECORD:
            self._incoming.write(self._unended(data))
            return self._decrypted()
        return b"".join(self._decipher(data[start : start + RECORD]) for start in range(0, len(data), RECORD))

    def _unended(self, data: bytes) -> bytes:
        if not data and not self._ended:
            if not self._stopped:
                raise ConnectionResetError(errno.ECONNRESET, "the peer left without a close_notify")
            self._ended = True
        return data

    def _decrypted(self) -> bytes:
        data = b""
        try:
            while self._incoming.pending and not self._ended:
                record = self._tls.read(RECORD)
                self._ended = not record
                data = data + record if data else record
        except ssl.SSLWantReadError:
            pass  # a part of a record is here
        except ssl.SSLZeroReturnError:
            self._ended = True  # how Python puts it once we have ended, too
        return data

    def _stirred(self) -> None:
        """The peer has sent something, or left, and nobody reads. Called in the hub."""
        if not self._tells():
            self._stream.watch()
        elif self.on_idle_data is not None:
            self.on_idle_data()

    def _tells(self) -> bool:
        """Has what came while nobody read a meaning beyond TLS?"""
        try:
            self.ended()
        except OSError as error:
            self._fault = error
        return bool(self._ahead or self._ended or self._fault)

    def _flush(self) -> None:
        """Send what OpenSSL has to say. One greenlet at a time: records must keep their order."""
        with self._sending:
            if data := self._outgoing.read():
                self._stream.write(data)

    def _say_goodbye(self) -> None:
        """Prepare a close_notify, once, and only if all that was written before is on its way."""
        if self._whole:
            self._whole = False
            with suppress(ssl.SSLWantReadError):  # the peer's own is still to come
                self._tls.unwrap()


def accept(stream: Stream, context: ssl.SSLContext, hello: bytes) -> SecureStream:
    """Wait for the handshake with a client; `hello` is what has been read from it already.

    Raises WireError when it speaks plain HTTP, which it can be told on `stream`; OSError when it speaks anything
    else that is not our TLS, or stops speaking.
    """
    if hello[:1].isalpha():
        raise WireError(400, "plain_http", "this port speaks HTTP over TLS")
    secure = SecureStream(stream, context, server_side=True)
    secure.handshake(hello)
    return secure
