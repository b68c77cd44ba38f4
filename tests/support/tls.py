"""Certificates made for a test, and a TLS socket of its own that can do what gevent's cannot: end one direction."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

import trustme
from gevent import socket, ssl

AUTHORITY = trustme.CA()


def issue(
    folder: Path, *names: str, authority: trustme.CA = AUTHORITY, **options: object
) -> tuple[Path, Path]:
    """Files of a new certificate and its key, `cert.pem` and `key.pem`; `options` as trustme has them."""
    leaf = authority.issue_cert(*(names or ("localhost", "127.0.0.1")), **options)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(key)
    return cert, key


def write_authority(folder: Path, authority: trustme.CA = AUTHORITY) -> str:
    """The path of a file with the authority's certificate."""
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def server_context(*names: str, authority: trustme.CA = AUTHORITY, **options: object) -> ssl.SSLContext:
    """For a server that is called so, by default localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("localhost", "127.0.0.1")), **options).configure_cert(context)
    return context


def client_context(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """For a client that trusts this authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


class TlsSocket:
    """The client's end, as far as a Peer needs a socket. `tls`: the SSLObject, for whoever wants to ask it."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        name: str = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.plain = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        self._until_done(self.tls.do_handshake)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), 65536):
            self.tls.write(data[start : start + 65536])
            self._flush()

    def recv(self, size: int) -> bytes:
        """b"" only after a close_notify; ssl.SSLEOFError when the connection just ends."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:  # instead of b"", once we have sent a close_notify
            return b""

    def shutdown(self, _how: int) -> None:
        """Send a close_notify and end the connection's sending side."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()
        self.plain.shutdown(socket.SHUT_WR)

    def settimeout(self, seconds: float) -> None:
        self.plain.settimeout(seconds)

    def setsockopt(self, *option: object) -> None:
        self.plain.setsockopt(*option)

    def close(self) -> None:
        """Without a close_notify."""
        self.plain.close()

    def _until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self.plain.recv(65536):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self.plain.sendall(data)
