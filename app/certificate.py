"""The front's certificate and key: loaded at start, and again whenever one of the files changes.

Only a certificate and a key that belong together ever come into force; connections keep what they began with.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import gevent

from app.settings import BadSetting

# Seconds between two looks at the files.
PERIOD = 1.0

log = logging.getLogger(__name__)


class Certificate:
    """`context` is what new connections are accepted with, replaced by one assignment.

    Raises BadSetting when the files cannot be used.
    """

    def __init__(self, cert: Path, key: Path, period: float = PERIOD) -> None:
        self._files = (cert, key)
        self._period = period
        self._seen = self._look()
        self.context = server_context(cert, key)
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to watch the files."""
        self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Watch them no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def refresh(self) -> None:
        """Load the files if they have changed. A pair that cannot be used is named in the log, once."""
        now = self._look()  # before they are read: what changes meanwhile is seen the next time
        if now == self._seen:
            return
        self._seen = now
        try:
            self.context = server_context(*self._files)
        except BadSetting as error:
            log.warning("%s; the certificate in force stays", error)
        else:
            log.info("certificate %s loaded again", self._files[0])

    def _watch(self) -> None:
        while True:
            gevent.sleep(self._period)
            try:
                self.refresh()
            except Exception:
                log.exception("the certificate could not be looked after")

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_signature(path) for path in self._files]


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from the next; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with Python's choice of ciphers. Raises BadSetting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for name, path in (("TLS_CERT", cert), ("TLS_KEY", key)):
        _check_readable(name, path)
    try:
        # Without a password OpenSSL would stop and ask for one at the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadSetting("TLS_KEY does not belong to TLS_CERT") from error
        raise BadSetting("TLS_CERT and TLS_KEY must be PEM files, the key without a password") from error
    return context


def _check_readable(name: str, path: Path) -> None:
    """OpenSSL does not say which file it could not read."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise BadSetting(f"{name}: cannot read {path}: {error.strerror}") from error
