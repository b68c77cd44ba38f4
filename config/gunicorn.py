"""`gunicorn --config config/gunicorn.py`: the proxy on several cores."""

import os

wsgi_app = "app.wsgi:application"
worker_class = "app.worker.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY") or len(os.sched_getaffinity(0)))

_host = os.environ.get("HOST") or "0.0.0.0"
_port = os.environ.get("PORT") or "8080"
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
backlog = 4096

# Of each worker. The config document's limits.connections is the one that answers with a 503.
worker_connections = 10_000

# Seconds. With app.worker.Worker the config document's timeouts.client_idle holds instead.
keepalive = 75
# Requests under way when a worker is told to end have so long.
graceful_timeout = 30
