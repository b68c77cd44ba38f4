"""The one place that wires things together: a store, who may use it, and its HTTP face."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.ssl import SSLContext

from kv import certificate, tokens
from kv.admission import Admission
from kv.api import Api
from kv.engine import engine_from
from kv.lag import Lag
from kv.settings import Settings, is_loopback
from kv.store import Store
from kv.tokens import Tokens
from kv.watched import Watched

# Almost nothing here is part of a cycle. Python's own 700 objects are those of a few requests.
_COLLECT_AFTER = (10_000, 20, 20)


class Service:
    """Everything of one process but the listening server: `api` is what it serves. Raises BadSetting.

    `tls` gives what connections are to be secured with; it is None where they are not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = (
            Watched([settings.tokens], partial(tokens.load, settings.tokens)) if settings.tokens else None
        )
        self._certificate = (
            Watched(settings.tls, partial(certificate.load, *settings.tls)) if settings.tls else None
        )
        self.store = Store(engine_from(settings.store))
        admission = Admission(self._known, conditional=settings.conditional)
        self._lag = Lag()
        self.api = Api(
            self.store, settings.names, admission=admission, lag=self._lag, warnings=self._warnings
        )

    def start(self, on_failure: Callable[[], None]) -> None:
        """See Store.start. Raises CannotStart."""
        self.store.start(on_failure)
        self._lag.start()
        for watched in self._watched():
            watched.start()
        # What is there now stays: looking through it again and again for cycles would only hold everybody up.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT_AFTER)

    def release(self) -> None:
        """Let waiting readers go, and those who come later not wait."""
        self.store.hub.release()

    def stop(self) -> None:
        self._lag.stop()
        for watched in self._watched():
            watched.stop()
        self.store.stop()

    @property
    def tls(self) -> Callable[[], SSLContext] | None:
        kept = self._certificate
        return (lambda: kept.value) if kept is not None else None

    def _watched(self) -> list[Watched[Any]]:
        return [each for each in (self._tokens, self._certificate) if each is not None]

    def _known(self) -> Tokens | None:
        return self._tokens.value if self._tokens is not None else None

    def _warnings(self) -> list[str]:
        told = [watched.fault for watched in self._watched() if watched.fault]
        if not is_loopback(self._settings.host):
            if self._tokens is None:
                told.append("everybody who reaches this server may change everything: there are no tokens")
            elif self._certificate is None:
                told.append("tokens cross the network in the clear: there is no TLS")
        return told
