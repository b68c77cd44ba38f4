"""The proxy as one process. Ends with 0 when told to, 1 when it cannot listen, 2 on bad settings."""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping

import gevent
from gevent.event import Event

from app.listener import listen
from app.log import configure
from app.server import BACKLOG, Front, Service, allow_many_connections, wait_until_idle
from app.settings import BadSetting, Settings

log = logging.getLogger("app")


def run(environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    configure()
    try:
        service = Service(Settings.from_environ(environ))
    except BadSetting as error:
        log.error("%s", error)
        return 2
    allow_many_connections()
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopped.set)
    return _serve(service, stopped)


def _serve(service: Service, stopped: Event) -> int:
    settings = service.settings
    try:
        service.start()
        listener = listen(settings.host, settings.port, BACKLOG, shared=settings.reuse_port)
    except OSError as error:
        log.error("cannot serve: %s", error)
        service.stop()
        return 1
    front = Front(
        listener,
        service.app,
        tls=service.tls,
        proxy_protocol=settings.proxy_protocol,
        access_log=service.access_log,
    )
    front.start()
    scheme = "https" if service.tls else "http"
    log.info("serving on %s://%s:%d", scheme, settings.host, front.server_port)
    stopped.wait()
    log.info("stopping")
    if settings.reuse_port and service.admin:
        service.admin.stop()  # its port is the next process's as well, which is not to be taken for draining
    front.leave(shared=settings.reuse_port)
    wait_until_idle(service.gateway, settings.grace)
    service.stop()
    return 0
