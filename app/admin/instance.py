"""What one instance tells of itself: who it is, the document it serves by, and all its figures."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, TypedDict

from app import __version__
from app.admin.live import Live
from app.admin.observer import Observer
from app.admin.report import Counters, Gauges, Worker
from app.rollout import report


class InstanceReport(TypedDict):
    """As Report, of one process; `workers` has the one. `admin`: where its operator looks, None: nowhere.

    `rejected`: the newest document, if it does not serve by it: `{"etag", "faults"}`. `applied`: for so many
    seconds it has served by the present one.
    """

    serin: str
    host: str
    admin: str | None
    rejected: Mapping[str, Any] | None
    applied: float | None
    observed: Mapping[str, Any]
    since: float
    counters: Counters
    gauges: Gauges
    workers: list[Worker]


def instance_report(live: Live, admin: str | None, observer: Observer) -> InstanceReport:
    """As of now. `observed`: see rollout.report."""
    state, figures = live.state(), live.report()
    rejected, applied_at = state.rejected, state.applied_at
    return {
        "serin": __version__,
        "host": socket.gethostname(),
        "admin": admin,
        "rejected": {"etag": rejected.etag, "faults": dict(rejected.faults)} if rejected else None,
        "applied": None if applied_at is None else round(live.now() - applied_at, 3),
        "observed": report.dump(observer.observed()),
        "since": figures["since"],
        "counters": figures["counters"],
        "gauges": figures["gauges"],
        "workers": figures["workers"],
    }
