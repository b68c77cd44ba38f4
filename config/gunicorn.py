"""`gunicorn -c config/gunicorn.py app.wsgi:application`: the proxy in as many processes as WEB_CONCURRENCY says.

HTTP2=on, with TLS_CERT and TLS_KEY, serves HTTP/2 as well, through gunicorn's own worker: see docs/gunicorn.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl import SSLContext

    from gunicorn.config import Config
    from gunicorn.http.message import Request
    from gunicorn.workers.base import Worker

_http2 = os.environ.get("HTTP2") == "on"

wsgi_app = "app.wsgi:application"
worker_class = "gevent" if _http2 else "app.worker.Worker"

_host = os.environ.get("HOST") or "0.0.0.0"
_port = os.environ.get("PORT") or "8080"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
backlog = 4096

# Of each worker; the config document's limits.connections is the limit that says why.
worker_connections = 10_000

# Seconds a connection may be idle. On the fast lane the config document's timeouts.client_idle holds instead.
# gunicorn's own worker gives a head no more time, and lets idle connections delay its end: so less there.
keepalive = 10 if _http2 else 75

# Seconds that requests under way have when a worker is told to end.
graceful_timeout = int(os.environ.get("GRACE") or 30)

# gunicorn would open one in the home directory; signals do all that we need.
control_socket_disable = True

# What follows is for gunicorn's own worker; the fast lane has a parser of its own.

# The only parser that the tests hold to our rules: another may be installed beside it.
http_parser = "python"

# A head in memory is at most about the product of the last two; the config document's limits hold below these.
permit_unconventional_http_method = True
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 16 * 1024

# Whom to believe about a client is for the config document's trusted_proxies alone.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"

if _http2:
    certfile, keyfile = os.environ.get("TLS_CERT"), os.environ.get("TLS_KEY")
    if not certfile or not keyfile:
        sys.exit("HTTP2=on needs TLS_CERT and TLS_KEY: browsers speak HTTP/2 only over TLS")
    http_protocols = "h2,h1"

if os.environ.get("PROXY_PROTOCOL") == "on":
    if _http2:
        sys.exit("HTTP2=on and PROXY_PROTOCOL=on: gunicorn looks for the header only inside of TLS")
    proxy_protocol, proxy_allow_ips = "auto", "*"


def ssl_context(_config: Config, default_factory: Callable[[], SSLContext]) -> SSLContext:
    """Called in each worker for the context of its listeners."""
    from app.handshake import prepare  # noqa: PLC0415  # it imports gevent, which patches the workers only

    return prepare(default_factory())


def pre_request(_worker: Worker, request: Request) -> None:
    """Join the Cookie lines of a request as RFC 6265, 5.4 has it: gunicorn would put commas between them."""
    cookies = [value for name, value in request.headers if name == "COOKIE"]
    if len(cookies) > 1:
        others = [(name, value) for name, value in request.headers if name != "COOKIE"]
        request.headers = [*others, ("COOKIE", "; ".join(cookies))]
