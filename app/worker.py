"""A gunicorn worker that serves on the fast lane: `gunicorn -k app.worker.Worker app.wsgi:application`."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.ggevent import GeventWorker


class Worker(GeventWorker):
    """gunicorn's own gevent worker, but for the server and the handler that it hands to gevent."""

    def load_wsgi(self) -> None:
        """Choose the server; called after the fork and gevent's patches."""
        # gunicorn imports this file in its master, unpatched: what uses sockets must not come with it.
        from app.proxy.fast_lane import FastLane  # noqa: PLC0415
        from app.server import Front  # noqa: PLC0415

        class GunicornFront(Front):
            """The front on gunicorn's listeners. gunicorn's access log stays silent."""

            def __init__(self, listener: Any, application: Any, *, log: Any = None, **options: Any) -> None:
                super().__init__(listener, application, error_log=log, **options)

        Worker.server_class = GunicornFront
        Worker.wsgi_handler = FastLane  # type: ignore[assignment]  # any callable that gives a handle() will do
        super().load_wsgi()
