"""`python -m app`: the proxy as one process."""

from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from app.listener import listen  # noqa: E402
from app.log import configure  # noqa: E402
from app.server import BACKLOG, Front, Service, allow_many_connections, wait_until_idle  # noqa: E402
from app.settings import BadSetting, Settings  # noqa: E402

log = logging.getLogger("app")


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 2 for a bad setting, 1 if we cannot listen."""
    configure()
    try:
        service = Service(settings := Settings.from_environ(os.environ))
    except BadSetting as error:
        log.error("%s", error)
        return 2
    allow_many_connections()
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopped.set)
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


if __name__ == "__main__":
    sys.exit(main())
