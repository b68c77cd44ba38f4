"""TLS towards one server: whom to trust, by which name, and how a next connection begins with less work."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from gevent.hub import get_hub

from app.config.model import TlsConfig
from app.secure_stream import SecureStream
from app.stream import Stream

# What tells one content of a file from the next: device and number, time of change, size.
Signature = tuple[int, int, int, int]


def signature(path: Path) -> Signature:
    """Changes whenever the file does. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


class ServerTls:
    """`config` is what the config document says of the server, `host` its name or address there.

    Raises OSError when the authorities cannot be read or are none. Waits meanwhile, but does not hold the hub.
    """

    __slots__ = ("_context", "_last", "_name")

    def __init__(self, config: TlsConfig, host: str) -> None:
        # RFC 6066, 3: without the dot of an absolute name.
        self._name = (config.name or host).removesuffix(".")
        self._context = _context(config.ca, signature(Path(config.ca)) if config.ca else None, config.verify)
        self._last: SecureStream | None = None

    def same_as(self, other: ServerTls | None) -> bool:
        """Would connections of the other one be as good?"""
        return other is not None and (self._context, self._name) == (other._context, other._name)

    def connect(self, stream: Stream) -> SecureStream:
        """Wait for the handshake on a stream that has just been connected. Raises OSError, see `handshake`.

        A name is told to the server (SNI), an address is not (RFC 6066, 3); either is verified.
        """
        session = self._last.session if self._last else None
        secure = SecureStream(stream, self._context, server_hostname=self._name, session=session)
        secure.handshake()
        self._last = secure
        return secure


@lru_cache(maxsize=64)
def _context(ca: str | None, _content: Signature | None, verify: bool) -> ssl.SSLContext:
    """One for all servers alike: reading the system's authorities takes 50 ms."""
    made = get_hub().threadpool.apply(_client_context, (ca, verify))
    if isinstance(made, OSError):
        raise made
    return made


def _client_context(ca: str | None, verify: bool) -> ssl.SSLContext | OSError:
    """The error as a value: gevent prints what a thread of its pool raises."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        elif verify:
            context.load_default_certs()
    except OSError as error:
        return error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
