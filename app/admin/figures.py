"""The figures of the whole service, whether it is this process alone or one of several workers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import gevent
from gevent import Greenlet, get_hub
from gevent.event import Event
from gevent.lock import RLock

from app.admin.report import Report, departed, merge
from app.admin.report_files import ReportFiles

log = logging.getLogger(__name__)

# Seconds between two writes of a worker's report.
PERIOD = 1.0
T = TypeVar("T")


class Figures(Protocol):
    """`report()` gives the service's figures; it may wait for the disk."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def report(self) -> Report: ...


class Alone:
    """One process is the service. `live` gives its figures."""

    def __init__(self, live: Callable[[], Report]) -> None:
        self.report = live

    def start(self) -> None:
        """Nothing to begin."""

    def stop(self) -> None:
        """Nothing to end."""


class Shared:
    """One worker of several. What was ever shown is in its file: no counter goes back if it is killed."""

    def __init__(self, live: Callable[[], Report], files: ReportFiles, period: float = PERIOD) -> None:
        self._live = live
        self._files = files
        self._period = period
        self._lock = RLock()
        self._failing = False
        self._stopping = Event()
        self._publisher: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Write the first report, and one every `period` seconds from now on."""
        self._try(self._files.open)
        self._publish()
        self._publisher = gevent.spawn(self._publish_for_ever)

    def stop(self) -> None:
        """Write the last report, in which only counters are left."""
        self._stopping.set()
        if self._publisher:
            self._publisher.join(timeout=2)
        try:
            self._files.write(departed(self._live()))
        except OSError as fault:
            log.warning("the last report of this worker is lost: %s", fault)

    def report(self) -> Report:
        """Our own figures as they are now and those of the other workers as of their last report."""
        own = self._publish()
        return merge([own, *(self._try(self._files.others) or [])])

    def _publish(self) -> Report:
        with self._lock:  # an older report must not overtake a newer one
            report = self._live()
            self._try(lambda: self._files.write(report))
            return report

    def _publish_for_ever(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._publish()
            except Exception:
                log.exception("the report of this worker could not be made")

    def _try(self, task: Callable[[], T]) -> T | None:
        """Run `task` in a native thread, for disks can be slow; None if it fails. Logged once until it works again."""

        def run() -> T | OSError:
            try:
                return task()
            except OSError as fault:  # as a value: gevent prints what a thread of its pool raises
                return fault

        outcome = get_hub().threadpool.apply(run)
        failed = isinstance(outcome, OSError)
        if failed and not self._failing:
            log.warning("the workers' figures cannot be shared: %s", outcome)
        self._failing = failed
        return None if isinstance(outcome, OSError) else outcome
