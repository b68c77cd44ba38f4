"""What stands behind the paths for whoever runs the server."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import Any

from prometheus_client.exposition import choose_encoder

from kv import __version__, answer, asked
from kv.asked import Asked
from kv.metrics import Sources, registry
from kv.response import Response


class Operations:
    """Of the store and the process around it. `warnings`: what an operator should mend.

    `description` gives the whole interface in the terms of OpenAPI.
    """

    def __init__(
        self, sources: Sources, warnings: Callable[[], list[str]], description: Callable[[], dict[str, Any]]
    ) -> None:
        self._description = description
        self._store = sources.store
        self._figures = sources.figures
        self._warnings = warnings
        self._registry = registry(sources)

    def alive(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        return answer.health("ok")

    def ready(self, request: Asked, _key: str) -> Response:
        """Whether a write would be committed now (KvError 503 if not)."""
        asked.parameters(request)
        self._store.check()
        return answer.health("ok")

    def status(self, request: Asked, _key: str) -> Response:
        """Everything, for people and programs."""
        asked.parameters(request)
        store = self._store.engine.status()
        return answer.status(
            {
                "version": __version__,
                "python": platform.python_version(),
                "since": answer.time(self._figures.since),
                "watchers": self._store.hub.watchers,
                "warnings": [*store.pop("warnings", ()), *self._warnings()],
                "store": store,
            }
        )

    def metrics(self, request: Asked, _key: str) -> Response:
        """For Prometheus, in the format it prefers."""
        asked.parameters(request)
        encode, content_type = choose_encoder(request.field("Accept") or "")
        return Response(200, {"Content-Type": content_type}, encode(self._registry))

    def describe(self, request: Asked, _key: str) -> Response:
        """The interface, for programs."""
        asked.parameters(request)
        return answer.status(self._description())

    def backup(self, request: Asked, _key: str) -> Response:
        """All that is kept, as of one moment."""
        asked.parameters(request)
        with ExitStack() as failing:
            file = failing.enter_context(TemporaryFile())
            self._store.backup(file)
            failing.pop_all()
        return answer.backup(file)
