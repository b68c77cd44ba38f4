"""/status: everything an operator asks of a service, as one JSON document.

Durations are seconds, moments ISO 8601 in UTC. The figures are of all workers, the config is as the worker
that answers has it; `workers` shows whether the others are in step.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from app import __version__
from app.admin.live import View
from app.admin.redact import shown_config
from app.admin.report import Report, ServerCounters, ServerGauges, VersionCounters, Worker, unready
from app.config.current import Rejected
from app.config.model import Config, ServerConfig, VersionConfig
from app.config.refresh import RefreshState
from app.histogram import quantile
from app.proxy.stats import BOUNDS

STATES: tuple[Literal["down", "ejected", "starting"], ...] = ("down", "ejected", "starting")
NO_COUNTERS: ServerCounters = {"requests": 0, "failures": 0, "ejections": 0}
IDLE: ServerGauges = {"in_flight": 0, "down": 0, "ejected": 0, "starting": 0}
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def status(view: View) -> dict[str, Any]:
    """The document, ready to be written as JSON. No secret of the config is in it."""
    report, config, state, now = view
    counters = report["counters"]
    problem = unready(report["workers"])
    return {
        "serin": __version__,
        "ready": problem is None,
        "problem": problem,
        "uptime": _rounded(now - report["since"]),
        "workers": [_worker(worker, now) for worker in report["workers"]],
        "config": _config(config, state, now),
        "style": config.style,
        "ratio": config.ratio,
        "versions": {name: _version(view, name) for name in ("stable", "canary")},
        "choices": counters["choices"],
        "tries": counters["tries"],
        "users_spared": sum(sum(version["spared"].values()) for version in counters["versions"].values()),
        "refused": counters["refused"],
        "connections": report["gauges"]["connections"],
        "waiting": report["gauges"]["waiting"],
    }


def servers(view: View, version: str) -> list[dict[str, Any]]:
    """A version's servers with their load. A URL that serves both versions has one load, shown in both."""
    part: VersionConfig = getattr(view.config, version)
    return [_server(view.report, server) for server in part.servers]


def by_class(answered: list[int]) -> dict[str, int]:
    """Counts by status class: 2xx to 5xx always, another only if it was ever seen."""
    return {f"{first}xx": count for first, count in enumerate(answered) if count or 2 <= first <= 5}


def _worker(worker: Worker, now: float) -> dict[str, Any]:
    answered_at = worker["answered_at"]
    return {
        "pid": worker["pid"],
        "uptime": _rounded(now - worker["since"]),
        "etag": worker["etag"],
        "revision": worker["revision"],
        "source": worker["source"],
        "age": None if answered_at is None else _rounded(now - answered_at),
        "trouble": worker["trouble"],
        "draining": worker["draining"],
    }


def _config(config: Config, state: RefreshState, now: float) -> dict[str, Any]:
    return {
        "etag": state.etag,
        "revision": state.revision,
        "source": state.source,
        "config_server": state.config_server,
        "age": None if state.age is None else _rounded(state.age),
        "error": state.error,
        "rejected": _rejected(state.rejected, now) if state.rejected else None,
        "missing": state.missing,
        "moving": state.moving,
        "changes": state.changes,
        "document": shown_config(config) if state.source else None,
    }


def _rejected(rejected: Rejected, now: float) -> dict[str, Any]:
    return {
        "etag": rejected.etag,
        "at": datetime.fromtimestamp(rejected.at, UTC).isoformat(timespec="milliseconds"),
        "age": _rounded(now - rejected.at),
        "faults": dict(rejected.faults),
    }


def _version(view: View, name: str) -> dict[str, Any]:
    counters = view.report["counters"]["versions"][name]
    return {
        "available": not view.report["gauges"]["out"].get(name),
        "servers": servers(view, name),
        "answered": by_class(counters["answered"]),
        "failures": counters["failures"],
        "spared": counters["spared"],
        "aborts": counters["aborts"],
        "head_seconds": _head_seconds(counters),
    }


def _server(report: Report, server: ServerConfig) -> dict[str, Any]:
    """The workers may not have heard of a server that has only just come."""
    counters = report["counters"]["servers"].get(server.url, NO_COUNTERS)
    gauges = report["gauges"]["servers"].get(server.url, IDLE)
    state = "drains" if server.drain else next((word for word in STATES if gauges[word]), "up")
    return {
        "url": server.url,
        "weight": server.weight,
        "state": state,
        "available": state in ("up", "starting"),
        "in_flight": gauges["in_flight"],
        **counters,
    }


def _head_seconds(counters: VersionCounters) -> dict[str, Any]:
    """Time from a request to the head of its response: estimates out of the histogram, and the mean."""
    buckets = counters["buckets"]
    count = sum(buckets)
    figures = {name: quantile(share, buckets, BOUNDS) for name, share in QUANTILES.items()}
    figures["mean"] = counters["nanoseconds"] / 1e9 / count if count else None
    return {
        "count": count,
        **{name: None if value is None else round(value, 6) for name, value in figures.items()},
    }


def _rounded(seconds: float) -> float:
    """To the millisecond; clocks may be set back, but nothing is younger than now."""
    return round(max(seconds, 0.0), 3)
