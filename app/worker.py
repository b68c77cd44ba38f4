"""A gunicorn worker that serves on the fast lane: `gunicorn -k app.worker.Worker app.wsgi:application`."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.ggevent import GeventWorker


class Worker(GeventWorker):
    """gunicorn's own gevent worker, but for the server and the handler that it hands to gevent."""

    def load_wsgi(self) -> None:
        """Choose the server; called after the fork and gevent's patches."""
        self._refuse_certfile()
        # gunicorn imports this file in its master, unpatched: what uses sockets must not come with it.
        from app.proxy.fast_lane import FastLane  # noqa: PLC0415
        from app.server import Front  # noqa: PLC0415

        class GunicornFront(Front):
            """The front on gunicorn's listeners. gunicorn's access log stays silent."""

            def __init__(self, listener: Any, application: Any, *, log: Any = None, **options: Any) -> None:
                from app.wsgi import service  # noqa: PLC0415  # loaded by now, as the application

                options |= {"tls": service.tls, "proxy_protocol": service.settings.proxy_protocol}
                options |= {"access_log": service.access_log, "error_log": log}
                super().__init__(listener, application, **options)

        Worker.server_class = GunicornFront
        Worker.wsgi_handler = FastLane  # type: ignore[assignment]  # any callable that gives a handle() will do
        super().load_wsgi()

    def _refuse_certfile(self) -> None:
        """gunicorn's own TLS would not reach the fast lane: end, in the way that tells gunicorn not to try again."""
        if self.cfg.is_ssl:
            self.log.error("app.worker.Worker has no use for certfile and keyfile: set TLS_CERT and TLS_KEY")
            sys.exit(Arbiter.WORKER_BOOT_ERROR)
