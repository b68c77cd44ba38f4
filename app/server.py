"""The one place that wires things together; the process entries start and stop what is made here."""

from __future__ import annotations

import errno
import gc
import logging
import os
import random
import resource
import socket
from functools import partial
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from app.access_log import AccessLog
from app.admin.instance import instance_report
from app.admin.live import Live
from app.admin.observer import Observer
from app.admin.report import Observation
from app.admin.report_files import ReportFiles
from app.admin.reporter import LIMIT as REPORT_LIMIT
from app.admin.reporter import Reporter
from app.admin.server import Admin
from app.admin.trial import TrialNews
from app.balance.balancer import Balancer
from app.balance.health import Health
from app.certificate import Certificate
from app.clock import Clock
from app.config.calls import trusting
from app.config.client import ConfigClient
from app.config.document import Document
from app.config.keys import KeyClient
from app.config.last_good import LastGood
from app.config.model import Config, VersionConfig
from app.config.refresh import Refresher
from app.config.registration import Registration
from app.listener import turn_away
from app.proxy.fast_lane import FastLane
from app.proxy.fleet import Fleet, Snapshot
from app.proxy.gateway import Gateway
from app.proxy.logged_lane import LoggedLane
from app.proxy.stats import Stats
from app.proxy.wsgi_app import ProxyApp
from app.settings import Settings

log = logging.getLogger(__name__)

# Connections the kernel keeps for us while we are busy; it caps this at net.core.somaxconn.
BACKLOG = 4096

# Bytes the kernel takes of an answer before the client can have them. Left to itself it takes megabytes, and a
# client that hardly reads would have us carry them all at once, and the kernel hold them.
UNSENT = 128 * 1024

# Seconds that a worker may take to start while its predecessor still serves.
START = 10.0

# Seconds that a handshake which has begun has to be finished when another process takes over the port.
HANDSHAKE = 0.5

# Seconds until we try again to accept when this process or the machine has no descriptor left for it.
NO_DESCRIPTOR_PAUSE = 0.1


class Front(WSGIServer):
    """gevent's WSGIServer with the fast lane for a handler. Closing it lets its connections run out.

    `tls`: what its connections are secured with, if they are; the fast lane does that itself.
    `proxy_protocol`: every connection begins with a header that says who the client is.
    `access_log`: where its requests are noted, if anywhere.
    `room`: so many connections at most, whatever the config says; the descriptors beyond are for servers and files.
    """

    handler_class = FastLane  # type: ignore[assignment]  # any callable that gives a handle() will do

    # Connections accepted before those that are there have their turn. With few, hundreds that come at once under
    # load would wait for as many rounds of everybody's requests; with many, everybody would wait for them.
    max_accept = 64

    def __init__(
        self,
        listener: Any,
        application: ProxyApp,
        *,
        tls: Certificate | None = None,
        proxy_protocol: bool = False,
        access_log: AccessLog | None = None,
        **options: Any,
    ) -> None:
        self._gateway = application.gateway
        self.tls = tls
        self.proxy_protocol = proxy_protocol
        self.access_log = access_log
        self.room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 7 // 8
        self._short = False
        super().__init__(listener, application, **({"log": None} | options))
        if access_log is not None:
            self.handler_class = LoggedLane

    def init_socket(self) -> None:
        """Make ready to listen; what is accepted takes after the listener."""
        super().init_socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    def do_read(self) -> Any:
        """Accept a connection. Who comes when there is no descriptor left waits in the kernel; who comes when this
        process is going, for another worker."""
        if self._gateway.draining:
            self.stop_accepting()
            return None
        try:
            accepted = super().do_read()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._pause(error)
            return None
        self._short = False
        return accepted

    def _pause(self, error: OSError) -> None:
        if not self._short:
            log.warning("no connection can be accepted: %s", error.strerror)
        self._short = True
        self.stop_accepting()
        self._timer: Any = self.loop.timer(NO_DESCRIPTOR_PAUSE)
        self._timer.start(self._resume)

    def _resume(self) -> None:
        if self.started:
            self.start_accepting()

    def leave(self, *, shared: bool) -> None:
        """Close, and lose nobody who is at the door. `shared`: another process listens on the same port."""
        if shared:
            turn_away(self.socket)
            gevent.sleep(HANDSHAKE)
        while accepted := self.do_read():
            self.do_handle(*accepted)
        self.close()

    def close(self) -> None:
        """Stop accepting; connections end with the answer under way."""
        super().close()
        self._gateway.drain()


class Service:
    """Everything of one proxy process but the listening front: `app` is what the front serves.

    `worker`: this process is one of several that serve together, all children of the same parent.
    Raises BadSetting when the certificate cannot be used.
    """

    def __init__(self, settings: Settings, *, worker: bool = False) -> None:
        rng = random.Random()  # noqa: S311  # spreads load; visitors' ids come from it but protect nothing
        nothing = Config(stable=VersionConfig())
        self.settings = settings
        self.clock = Clock()
        self.stats = Stats()
        self.fleet = Fleet(self.clock, rng, self.stats.books)
        first = Snapshot(nothing, Balancer(nothing, self.fleet.load, rng))
        self.gateway = Gateway(self.clock, self.stats, first, rng)
        self.health = Health(self.gateway.refresh, rng, each_second=self.gateway.tries.tick)
        self.app = ProxyApp(self.gateway)
        self.refresher = Refresher(
            partial(_config_client, settings),
            settings.config_server,
            self._apply,
            LastGood(settings.state_dir, settings.config_key),
            settings.config_file,
        )
        self.registration = Registration(
            partial(_config_client, settings, of="schema"), lambda: self.refresher.state().config_server
        )
        self.tls = _certificate(settings)
        self.access_log = AccessLog(settings.access_log) if settings.access_log else None
        self._files = ReportFiles(settings.state_dir, os.getppid(), os.getpid()) if worker else None
        self.observer = Observer(self.stats.books)
        self._live = Live(self.gateway, self.fleet.loads, self.refresher.state, self._observe)
        self.admin = self._admin() if settings.admin_port else None
        self.reporter = Reporter(
            lambda: instance_report(self._live, settings.admin_url, self.observer),
            f"{settings.service}/instances/",
            lambda: self.refresher.state().config_server,
            partial(_key_client, settings),
            pid=os.getpid(),
            ask=TrialNews(f"{settings.service}/rollout", self.observer.heed).ask,
        )

    def start(self) -> None:
        """Load the first config, within a few seconds, and keep it fresh from then on.

        Raises OSError when the admin port or the access log is not to be had.
        """
        if self.access_log is not None:
            self.access_log.start()
        self.clock.start()
        self.health.start()
        self.fleet.start()
        self.refresher.start()
        self.registration.start()
        self.reporter.start()
        if self.tls is not None:
            self.tls.start()
        if self.admin is not None:
            self.admin.start()
        # What is there now stays: looking through it again and again for cycles would only hold requests up.
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Stop every greenlet of ours. Requests under way are the front's business."""
        self.reporter.stop()
        self.registration.stop()
        self.refresher.stop()
        self.health.stop()
        self.fleet.stop()
        self.clock.stop()
        if self.tls is not None:
            self.tls.stop()
        if self.admin is not None:
            self.admin.stop()
        if self.access_log is not None:
            self.access_log.stop()

    def wait_for_successors(self) -> None:
        """Other workers may have begun that shall serve in our place: wait until they do, at most START seconds."""
        if self.admin is None or self._files is None:
            return
        with gevent.Timeout(START, False):  # type: ignore[arg-type]
            while self._files.starting():
                gevent.sleep(0.1)

    def _admin(self) -> Admin:
        settings, live = self.settings, self._live
        return Admin(settings.admin_host, settings.admin_port, live, self._files, shared=settings.reuse_port)

    def _observe(self) -> dict[str, Observation]:
        return {self.reporter.id: self.observer.observation()}

    def _apply(self, config: Config, _document: Document) -> None:
        snapshot = self.fleet.snapshot(config, self.gateway.snapshot)
        self.gateway.snapshot = snapshot
        self.fleet.retire(config)
        self.health.adopt(config, self.fleet.loads)
        self.gateway.admission.recheck()
        self.reporter.hurry()


def _certificate(settings: Settings) -> Certificate | None:
    cert, key = settings.tls_cert, settings.tls_key
    return Certificate(cert, key) if cert and key else None


def _config_client(settings: Settings, urls: str, of: str = "kv") -> ConfigClient:
    new_session = trusting(settings.config_ca)
    return ConfigClient(urls, settings.config_key, settings.config_token, of=of, new_session=new_session)


def _key_client(settings: Settings, urls: str) -> KeyClient:
    new_session = trusting(settings.config_ca)
    return KeyClient(urls, settings.config_token, limit=REPORT_LIMIT, new_session=new_session)


def allow_many_connections() -> None:
    """A client is an open file, and the usual limit of 1,024 is well below `limits.connections`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def wait_until_idle(gateway: Gateway, seconds: float) -> None:
    """Give the requests under way `seconds` to end."""
    with gevent.Timeout(seconds, False):  # type: ignore[arg-type]
        while gateway.lanes:
            gevent.sleep(0.05)
