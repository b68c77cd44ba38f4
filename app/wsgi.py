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

import gevent
from gevent import monkey
from gevent.event import Event

from app.log import configure
from app.server import Service, allow_many_connections
from app.settings import BadSetting, Settings

if not monkey.is_module_patched("socket"):
    raise RuntimeError("app.wsgi runs in a gevent worker: gunicorn -k gevent, without --preload")

# What a worker exits with to tell gunicorn's master that another one would fare no better.
WORKER_BOOT_ERROR = 3

configure(shared=True)
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
    """Begin to drain as soon as the signal comes: gunicorn takes up to a second, and tells an application nothing.

    When it renews its workers (HUP) it ends the old ones before the new ones serve: so these wait for those.
    """
    proceed = signal.getsignal(number)
    told = Event()

    def drain(frame: FrameType | None) -> None:
        service.wait_for_successors()
        service.gateway.drain()
        if callable(proceed):
            proceed(number, frame)

    def handle(_number: int, frame: FrameType | None) -> None:
        if not told.is_set():  # gunicorn sends it every second
            told.set()
            gevent.spawn(drain, frame)

    signal.signal(number, handle)


_drain_on(signal.SIGTERM)
