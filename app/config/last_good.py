"""The last good config on disk, for a start while the config server is away.

Written whole or not at all, and a moment after a change, so that of many in a row only the last is. A disk that is
slow or full holds up nobody: the newest document waits its turn, and a write that failed is tried again when the
document is offered again.
"""

from __future__ import annotations

import json
import logging
import os
import random
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import gevent
from gevent import Greenlet
from gevent.event import Event

from app.config.document import Document

log = logging.getLogger(__name__)


# Seconds between a change and its being written, drawn anew each time: many instances on one machine share its disk,
# and with it the config server's next write.
DELAY = (1.0, 5.0)


class LastGood:
    """One document's file in `state_dir`; several processes may share it."""

    def __init__(self, state_dir: Path, key: str, delay: tuple[float, float] = DELAY) -> None:
        self.path = state_dir / f"last-good-{quote(key, safe='')}.json"
        self._saved: Document | None = None
        self._unsaved: Document | None = None
        self._saver: Greenlet[[], None] | None = None
        self._failing = False
        self._delay = delay
        self._at_once = Event()

    def read(self) -> Document | None:
        """What was kept, or None; a file that cannot be read is logged and counts as none."""
        try:
            kept = json.loads(self.path.read_bytes())
            return Document(kept["document"].encode(), kept["etag"], kept["revision"], kept["url"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            log.warning("last good config %s cannot be read: %s", self.path, fault)
            return None

    def keep(self, document: Document) -> None:
        """Have `document` written soon, unless it is what was last written."""
        self._unsaved = None if document == self._saved else document
        if self._unsaved and not self._saver:
            self._saver = gevent.spawn(self._save)

    def flush(self, timeout: float) -> None:
        """Have what was to be kept written now, and wait for that, `timeout` seconds at most."""
        self._at_once.set()
        if self._saver:
            self._saver.join(timeout)

    def _save(self) -> None:
        while self._unsaved:
            self._at_once.wait(random.uniform(*self._delay))  # noqa: S311  # spreads load
            self._save_newest()

    def _save_newest(self) -> None:
        document, self._unsaved = self._unsaved, None
        if document is not None:
            # fsync can take long: not in the hub's thread.
            fault = gevent.get_hub().threadpool.apply(_write, (self.path, document))
            if fault is None:
                self._saved = document
            elif not self._failing:
                log.warning("last good config cannot be written: %s", fault)
            self._failing = fault is not None


def _write(path: Path, document: Document) -> OSError | None:
    """Runs in a native thread: no logging, no gevent; hence the error as a value."""
    envelope = {
        "etag": document.etag,
        "revision": document.revision,
        "url": document.url,
        "document": document.raw.decode(),
    }
    try:
        _replace(path, json.dumps(envelope, indent=1).encode())
    except OSError as fault:
        return fault
    return None


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """A rename is durable only once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
