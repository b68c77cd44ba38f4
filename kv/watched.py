"""Something that is made of files, and made anew when they change. What cannot be used leaves the old one in force."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import gevent
from gevent import Greenlet

from kv.errors import BadSetting

log = logging.getLogger(__name__)

PERIOD = 1.0
_T = TypeVar("_T")


class Watched(Generic[_T]):
    """`value` is what `load` has made, replaced by one assignment; `fault` is why what the files hold now is not used.

    `load` raises BadSetting; it is called at once. `period`: seconds between two looks at the files.
    """

    def __init__(self, files: Sequence[Path], load: Callable[[], _T], period: float = PERIOD) -> None:
        self._files = files
        self._load = load
        self._period = period
        self._seen = self._look()
        self.value = load()
        self.fault: str | None = None
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to look at the files."""
        self._greenlet = Greenlet.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def refresh(self) -> None:
        """Look once. A fault is told to the log once."""
        now = self._look()  # before they are read: what changes meanwhile is seen the next time
        if now == self._seen:
            return
        self._seen = now
        try:
            self.value, self.fault = self._load(), None
        except BadSetting as error:
            self.fault = f"{error.detail}; what was there before stays in force"
            log.warning("%s", self.fault)
        else:
            log.info("%s loaded again", self._files[0])

    def _run(self) -> None:
        while True:
            gevent.sleep(self._period)
            try:
                self.refresh()
            except Exception:
                log.exception("%s could not be looked after", self._files[0])

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_signature(path) for path in self._files]


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from the next; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
