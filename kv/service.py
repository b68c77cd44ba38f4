"""The one place that wires things together: a store, who may use it, and its HTTP face."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kv import tokens
from kv.admission import Admission
from kv.api import Api
from kv.engine import engine_from
from kv.lag import Lag
from kv.settings import Settings, is_loopback
from kv.store import Store
from kv.tokens import Tokens
from kv.watched import Watched


class Service:
    """Everything of one process but the listening server: `api` is what it serves. Raises BadSetting."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = (
            Watched([settings.tokens], partial(tokens.load, settings.tokens)) if settings.tokens else None
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
        if self._tokens is not None:
            self._tokens.start()

    def release(self) -> None:
        """Let waiting readers go, and those who come later not wait."""
        self.store.hub.release()

    def stop(self) -> None:
        self._lag.stop()
        if self._tokens is not None:
            self._tokens.stop()
        self.store.stop()

    def _known(self) -> Tokens | None:
        return self._tokens.value if self._tokens is not None else None

    def _warnings(self) -> list[str]:
        faults = [self._tokens.fault] if self._tokens is not None else []
        if self._tokens is None and not is_loopback(self._settings.host):
            faults.append("everybody who reaches this server may change everything: there are no tokens")
        return [fault for fault in faults if fault]
