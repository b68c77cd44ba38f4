"""`gunicorn -w 1 -k gevent kv.wsgi:application`: the config server under somebody else's server.

A SQLite store belongs to one process, so one worker is the rule: any further one answers 503 and says which process
has the store. Where it listens, and beyond loopback or not, is then the server's setting.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING

from gevent.lock import RLock

from kv.errors import CannotStart, Unavailable
from kv.problem import problem
from kv.service import Service
from kv.settings import read_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)


def _end_worker() -> None:
    """Its supervisor starts another one, which reads the store again."""
    os.kill(os.getpid(), signal.SIGTERM)


class Application:
    """Opens the store at the first request: after the fork, and in the process that serves."""

    def __init__(self, environ: Mapping[str, str], on_failure: Callable[[], None] = _end_worker) -> None:
        self._environ = environ
        self._on_failure = on_failure
        self._service: Service | None = None
        self._opening = RLock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            service = self._service or self._open()
        except CannotStart as error:
            log.error("%s", error.detail)
            return problem(Unavailable(error.detail))(environ, start_response)
        return service.api(environ, start_response)

    def release(self) -> None:
        """Let waiting readers go, and those who come later not wait."""
        if self._service is not None:
            self._service.release()

    def _open(self) -> Service:
        with self._opening:
            if self._service is None:
                settings = read_settings(self._environ)
                service = Service(settings)
                service.start(self._on_failure)
                self._service = service
                log.info("store %s", settings.shown_store)
            return self._service


application = Application(os.environ)


def _release_on(number: int) -> None:
    """Let readers go as soon as the signal comes: gunicorn tells an application nothing, and would wait for them."""
    proceed = signal.getsignal(number)
    if not callable(proceed):
        return  # nobody handles it, so it ends the process

    def release(number: int, frame: FrameType | None) -> None:
        application.release()
        proceed(number, frame)

    signal.signal(number, release)


_release_on(signal.SIGTERM)
