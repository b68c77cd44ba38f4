"""`python -m app.pilot`: the control room. Ends with 0 when told to, 1 when it cannot listen, 2 on bad settings."""

from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from app.admin.server import Handler  # noqa: E402
from app.config.calls import trusting  # noqa: E402
from app.config.keys import KeyClient  # noqa: E402
from app.log import configure  # noqa: E402
from app.pilot.api import Api  # noqa: E402
from app.pilot.guard import is_loopback  # noqa: E402
from app.pilot.numbers import Numbers, Reports  # noqa: E402
from app.pilot.pilot import Pilot  # noqa: E402
from app.pilot.prometheus import Prometheus  # noqa: E402
from app.pilot.webhooks import Webhooks  # noqa: E402
from app.settings import BadSetting, Settings  # noqa: E402

CONNECTIONS = 256

log = logging.getLogger("app.pilot")


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    configure()
    try:
        settings = Settings.from_environ(os.environ)
        if not settings.pilot_token and not is_loopback(settings.pilot_host):
            raise BadSetting(
                f"PILOT_HOST is {settings.pilot_host!r}: everyone who reaches it could steer. Set PILOT_TOKEN"
            )
        keys = KeyClient(
            settings.config_server, settings.config_token, new_session=trusting(settings.config_ca)
        )
        numbers = _numbers(settings)
    except ValueError as error:
        log.error("%s", error)
        return 2
    pilot = Pilot(keys, settings.config_key, Webhooks(settings.webhook_secret), numbers=numbers)
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopped.set)
    return _serve(settings, pilot, stopped)


def _numbers(settings: Settings) -> Numbers:
    """What the verdict is to go by."""
    if settings.prometheus_url is None:
        return Reports()
    new_session = trusting(settings.config_ca)
    labels, token = settings.prometheus_labels, settings.prometheus_token
    try:
        return Prometheus(settings.prometheus_url, labels, token, new_session=new_session)
    except ValueError as error:
        raise BadSetting(f"PROMETHEUS_URL: {error}") from None


def _serve(settings: Settings, pilot: Pilot, stopped: Event) -> int:
    names = [name.strip().lower() for name in settings.pilot_names.split(",") if name.strip()]
    address = (settings.pilot_host, settings.pilot_port)
    app = Api(pilot, settings.pilot_token, names)
    server = WSGIServer(address, app, handler_class=Handler, spawn=Pool(CONNECTIONS), log=None, error_log=log)
    try:
        server.start()
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", *address, error.strerror)
        return 1
    pilot.start()
    log.info("the pilot is on http://%s:%d", settings.pilot_host, server.server_port)
    stopped.wait()
    server.stop(timeout=1)
    pilot.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
