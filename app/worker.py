"""A gunicorn worker that serves on the fast lane: `gunicorn -k app.worker.Worker app.wsgi:application`."""

from __future__ import annotations

from typing import Any

from gunicorn.workers.ggevent import GeventWorker

from app.proxy.fast_lane import FastLane
from app.server import Front


class GunicornFront(Front):
    """The same front, on gunicorn's sockets; gunicorn's access log stays silent."""

    def __init__(self, listener: Any, application: Any, *, log: Any = None, **options: Any) -> None:
        super().__init__(listener, application, error_log=log, **options)


class Worker(GeventWorker):
    """gunicorn hands the two classes to gevent; everything else is its own gevent worker."""

    server_class = GunicornFront
    wsgi_handler = FastLane  # type: ignore[assignment]
