"""The figures of one process, as plain JSON, and how those of several become a service's: by addition.

Counters only grow and are kept when their process has gone; gauges and `workers` are of the living. Knows
neither where figures come from nor how they travel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, TypedDict


class VersionCounters(TypedDict):
    """As VersionStats; `nanoseconds` is the sum of all times to the response head, whole so that sums are exact."""

    answered: list[int]
    failures: dict[str, int]
    aborts: int
    buckets: list[int]
    nanoseconds: int
    spared: dict[str, int]


class ServerCounters(TypedDict):
    """As in Load."""

    requests: int
    failures: int
    ejections: int


class Counters(TypedDict):
    """`servers` is by URL; `config_changes` counts how often a process put a config in force."""

    versions: dict[str, VersionCounters]
    servers: dict[str, ServerCounters]
    choices: dict[str, int]
    tries: dict[str, int]
    refused: dict[str, int]
    config_changes: int


class ServerGauges(TypedDict):
    """All but the first are numbers of processes: that find it `down`, have `ejected` it, or let it start slowly."""

    in_flight: int
    down: int
    ejected: int
    starting: int


class Gauges(TypedDict):
    """`connections`: open client connections on the fast lane; another server's are not ours to see.

    `waiting`: requests in the queue. `out`: the number of processes that have no server of a version.
    """

    connections: int
    waiting: int
    out: dict[str, int]
    servers: dict[str, ServerGauges]


class Worker(TypedDict):
    """One living process. `since` and `answered_at` (by the config server) are in seconds since the epoch.

    `source` is None until a config is in force; `trouble` says what is wrong with its config, if anything is.
    """

    pid: int
    since: float
    etag: str | None
    revision: int | None
    source: str | None
    answered_at: float | None
    rejected: bool
    trouble: str | None
    draining: bool


class Observation(TypedDict):
    """What a process observes for the verdict: `strata` as in rollout.report, `sticky`: whether its visitors stick.

    `at`: when that was, by its own clock, in seconds since the epoch.
    """

    at: float
    sticky: bool
    strata: list[dict[str, Any]]


class Report(TypedDict):
    """`since`: start of the first process, in seconds since the epoch. `observations`: of the living, by their id."""

    since: float
    observations: dict[str, Observation]
    counters: Counters
    gauges: Gauges
    workers: list[Worker]


NO_GAUGES: Gauges = {"connections": 0, "waiting": 0, "out": {}, "servers": {}}


def merge(reports: Iterable[Report]) -> Report:
    """The figures of all processes together, in whatever order. Raises TypeError when there are none."""
    return reduce(_both, reports)


def departed(report: Report) -> Report:
    """What stays of a process that has gone."""
    return {**report, "observations": {}, "gauges": NO_GAUGES, "workers": []}


def unready(workers: Sequence[Worker]) -> str | None:
    """Why the service should get no requests now; None: it may. Who drains is on the way out and has no say."""
    serving = [worker for worker in workers if not worker["draining"]]
    if not serving:
        return "draining"
    waiting = [worker for worker in serving if worker["source"] is None]
    return f"no config in force: {waiting[0]['trouble'] or 'none was read yet'}" if waiting else None


def _both(one: Report, other: Report) -> Report:
    return {
        "since": min(one["since"], other["since"]),
        "observations": one["observations"] | other["observations"],
        "counters": _sum(one["counters"], other["counters"]),
        "gauges": _sum(one["gauges"], other["gauges"]),
        "workers": sorted(
            one["workers"] + other["workers"], key=lambda worker: (worker["pid"], worker["since"])
        ),
    }


def _sum(one: Any, other: Any) -> Any:
    """Trees of whole numbers, added up: lists place by place, dicts key by key; a key that one lacks is 0 there."""
    if isinstance(one, dict):
        alike = {key: _sum(one[key], other[key]) for key in one.keys() & other.keys()}
        return one | other | alike
    if isinstance(one, list):
        return [_sum(*pair) for pair in zip(one, other, strict=True)]
    return one + other
