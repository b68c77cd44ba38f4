"""What stands behind the paths for whoever runs the server."""

from __future__ import annotations

from contextlib import ExitStack
from tempfile import TemporaryFile

from werkzeug.wrappers import Response

from kv import answer, asked
from kv.asked import Asked
from kv.store import Store


class Operations:
    """Of the store and the process around it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def alive(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        return answer.health("ok")

    def ready(self, request: Asked, _key: str) -> Response:
        """Whether a write would be committed now (KvError 503 if not)."""
        asked.parameters(request)
        self._store.check()
        return answer.health("ok")

    def backup(self, request: Asked, _key: str) -> Response:
        """All that is kept, as of one moment."""
        asked.parameters(request)
        with ExitStack() as failing:
            file = failing.enter_context(TemporaryFile())
            self._store.backup(file)
            failing.pop_all()
        response = answer.backup(file)
        if request.method == "HEAD":
            response.close()  # nobody else would, without a body
        return response
