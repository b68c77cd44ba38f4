"""`gunicorn -k gevent app.wsgi:application`, or `-k app.worker.Worker` for the fast lane.

gunicorn imports this in each worker, after its fork and after gevent's patches; the service starts then.
With --preload it would be imported before both.
"""

import atexit
import os

from gevent import monkey

from app.server import Service
from app.settings import Settings

if not monkey.is_module_patched("socket"):
    raise RuntimeError("app.wsgi runs in a gevent worker: gunicorn -k gevent, without --preload")

service = Service(Settings.from_environ(os.environ))
application = service.app
service.start()
atexit.register(service.stop)
