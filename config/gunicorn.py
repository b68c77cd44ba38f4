"""`gunicorn -c config/gunicorn.py app.wsgi:application`: the proxy in as many processes as WEB_CONCURRENCY says."""

import os

wsgi_app = "app.wsgi:application"
worker_class = "app.worker.Worker"

_host = os.environ.get("HOST") or "0.0.0.0"
_port = os.environ.get("PORT") or "8080"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
backlog = 4096

# Of each worker; the config document's limits.connections is the limit that says why.
worker_connections = 10_000

# Seconds a connection may be idle. On the fast lane the config document's timeouts.client_idle holds instead.
keepalive = 75

# Seconds that requests under way have when a worker is told to end.
graceful_timeout = 30
