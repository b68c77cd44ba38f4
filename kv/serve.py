"""The config server as a process. Ends with 0 when told to, 1 when it cannot go on, 2 on bad settings.

Wants a process that is patched already: etcd is asked through a library that knows nothing of gevent.
"""

from __future__ import annotations

import logging
import resource
import signal
from collections.abc import Mapping

import gevent
from gevent.event import AsyncResult

from kv.errors import BadSetting, CannotStart
from kv.server import Server
from kv.service import Service
from kv.settings import Settings, check_reach, read_settings

log = logging.getLogger("kv")

_DESCRIPTORS = 65_536


def run(environ: Mapping[str, str], *, conditional: bool = False, insecure: bool = False) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = read_settings(environ, conditional=conditional, insecure=insecure)
        check_reach(settings)
        return serve(settings)
    except BadSetting as error:
        log.error("%s", error.detail)
        return 2
    except CannotStart as error:
        log.error("%s", error.detail)
        return 1


def serve(settings: Settings) -> int:
    """The exit status: 0, or 1 if the store broke down. Raises CannotStart."""
    ending: AsyncResult[int] = AsyncResult()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, ending.set, 0)
    _allow_many_connections()
    service = Service(settings)
    service.start(on_failure=lambda: ending.set(1))
    try:
        return _listen(settings, service, ending)
    finally:
        service.stop()


def _listen(settings: Settings, service: Service, ending: AsyncResult[int]) -> int:
    server = Server((settings.host, settings.port), service.api, tls=service.tls)
    try:
        server.start()
    except OSError as error:
        raise CannotStart(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls else "http"
    log.info("listening on %s://%s:%d, store %s", scheme, shown, server.server_port, settings.shown_store)
    status = ending.get()
    service.release()
    server.stop()
    return int(status or 0)


def _allow_many_connections() -> None:
    """A waiting client is an open file, and the usual limit of 1,024 is well below our own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
