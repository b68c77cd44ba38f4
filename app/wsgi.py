"""`gunicorn -k gevent app.wsgi:application`, or `-k app.worker.Worker` for the fast lane.

gunicorn imports this in each worker, after its fork and after gevent's patches; the service starts then.
With --preload it would be imported before both.
"""

import atexit
import logging
import os
import signal
import sys
from types import FrameType

from gevent import monkey

from app.log import configure
from app.server import Service, allow_many_connections
from app.settings import BadSetting, Settings

if not monkey.is_module_patched("socket"):
    raise RuntimeError("app.wsgi runs in a gevent worker: gunicorn -k gevent, without --preload")

# What a worker exits with to tell gunicorn's master that another one would fare no better.
WORKER_BOOT_ERROR = 3

configure()
allow_many_connections()
try:
    service = Service(Settings.from_environ(os.environ), worker=True)
except BadSetting as error:
    logging.getLogger("app").error("%s", error)
    sys.exit(WORKER_BOOT_ERROR)
application = service.app
service.start()
atexit.register(service.stop)


def _drain_on(number: int) -> None:
    """Begin to drain as soon as the signal comes: gunicorn takes up to a second, and tells an application nothing."""
    proceed = signal.getsignal(number)

    def drain(number: int, frame: FrameType | None) -> None:
        service.gateway.drain()
        if callable(proceed):
            proceed(number, frame)

    signal.signal(number, drain)


_drain_on(signal.SIGTERM)
