"""/metrics: the figures in the words of Prometheus, made from plain ints at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app import __version__
from app.admin.family import COUNTER, GAUGE, Family, Samples
from app.admin.live import View
from app.admin.observed_metrics import OBSERVED
from app.admin.report import VersionCounters
from app.admin.status import by_class, servers
from app.proxy.stats import BOUNDS


class Metrics(Collector):
    """One view of the service, for prometheus_client to write down."""

    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Every family of FAMILIES, and the histogram of the time to the response head."""
        for kind, name, text, labels, samples in FAMILIES:
            family = kind(name, text, labels=labels)
            for values, number in samples(self._view):
                family.add_metric(values, number)
            yield family
        yield _head_seconds(self._view)


def _of_each_version(read: Callable[[VersionCounters], Mapping[str, int]]) -> Callable[[View], Samples]:
    """Samples by version and one thing more."""
    return lambda view: [
        ((version, value), count)
        for version, counters in view.report["counters"]["versions"].items()
        for value, count in read(counters).items()
    ]


def _of_each_server(figure: str) -> Callable[[View], Samples]:
    return lambda view: [
        ((version, server["url"]), server[figure])
        for version in ("stable", "canary")
        for server in servers(view, version)
    ]


def _by_word(counts: Mapping[str, int]) -> Samples:
    return [((word,), count) for word, count in counts.items()]


def _one(read: Callable[[View], float]) -> Callable[[View], Samples]:
    return lambda view: [((), read(view))]


def _config_info(view: View) -> Samples:
    return [((view.state.etag or "", view.state.source or "none", view.config.style), 1)]


def _config_age(view: View) -> Samples:
    answers = [at for worker in view.report["workers"] if (at := worker["answered_at"]) is not None]
    return [((), max(0.0, view.now - min(answers)))] if answers else []


def _head_seconds(view: View) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "serin_response_head_seconds", "Time from a request to the head of its response.", labels=("version",)
    )
    bounds = [*map(str, BOUNDS), "+Inf"]
    for version, counters in view.report["counters"]["versions"].items():
        counts = [float(count) for count in accumulate(counters["buckets"])]
        family.add_metric((version,), list(zip(bounds, counts, strict=True)), counters["nanoseconds"] / 1e9)
    return family


_SERVER = ("version", "server")

FAMILIES = (
    Family(GAUGE, "serin_build_info", "The Serin that runs.", ("serin",), lambda _: [((__version__,), 1)]),
    Family(
        GAUGE,
        "serin_start_time_seconds",
        "When the service started, in seconds since the epoch.",
        (),
        _one(lambda view: view.report["since"]),
    ),
    Family(GAUGE, "serin_workers", "Living processes.", (), _one(lambda view: len(view.report["workers"]))),
    Family(
        GAUGE,
        "serin_connections",
        "Open client connections on the fast lane.",
        (),
        _one(lambda view: view.report["gauges"]["connections"]),
    ),
    Family(
        COUNTER,
        "serin_responses",
        "Responses of servers to first tries, by status class.",
        ("version", "class"),
        _of_each_version(lambda counters: by_class(counters["answered"])),
    ),
    Family(
        COUNTER,
        "serin_failures",
        "First tries that a server did not complete.",
        ("version", "reason"),
        _of_each_version(lambda counters: counters["failures"]),
    ),
    Family(
        COUNTER,
        "serin_spared",
        "First tries that failed, and whose clients got a good answer all the same: retry, shield or rescue.",
        ("version", "by"),
        _of_each_version(lambda counters: counters["spared"]),
    ),
    Family(
        COUNTER,
        "serin_tries",
        "Tries beyond the first, by what they were for, and those that the budget did not allow.",
        ("why",),
        lambda view: _by_word(view.report["counters"]["tries"]),
    ),
    Family(
        COUNTER,
        "serin_client_aborts",
        "Exchanges that the client did not complete.",
        ("version",),
        lambda view: _by_word(
            {name: counters["aborts"] for name, counters in view.report["counters"]["versions"].items()}
        ),
    ),
    Family(
        COUNTER,
        "serin_choices",
        "Choices of a server by what decided: override, sticky, style or rescue.",
        ("how",),
        lambda view: _by_word(view.report["counters"]["choices"]),
    ),
    Family(
        COUNTER,
        "serin_refused",
        "Requests that got an error of Serin's own.",
        ("reason",),
        lambda view: _by_word(view.report["counters"]["refused"]),
    ),
    Family(
        GAUGE,
        "serin_waiting",
        "Requests in the queue.",
        (),
        _one(lambda view: view.report["gauges"]["waiting"]),
    ),
    Family(
        GAUGE,
        "serin_version_available",
        "1 while every worker has a server of this version, or the config has none.",
        ("version",),
        lambda view: [
            ((name,), int(not view.report["gauges"]["out"].get(name))) for name in ("stable", "canary")
        ],
    ),
    Family(GAUGE, "serin_server_weight", "Weight in the config.", _SERVER, _of_each_server("weight")),
    Family(
        GAUGE,
        "serin_server_available",
        "1 while every worker sends requests there.",
        _SERVER,
        _of_each_server("available"),
    ),
    Family(GAUGE, "serin_server_in_flight", "Exchanges under way.", _SERVER, _of_each_server("in_flight")),
    Family(COUNTER, "serin_server_requests", "Exchanges that ended.", _SERVER, _of_each_server("requests")),
    Family(COUNTER, "serin_server_failures", "Exchanges that failed.", _SERVER, _of_each_server("failures")),
    Family(
        COUNTER, "serin_server_ejections", "Ejections of the server.", _SERVER, _of_each_server("ejections")
    ),
    Family(
        GAUGE, "serin_ratio", "The canary's share in the config.", (), _one(lambda view: view.config.ratio)
    ),
    Family(GAUGE, "serin_config_info", "The config in force.", ("etag", "source", "style"), _config_info),
    Family(
        GAUGE,
        "serin_config_age_seconds",
        "Time since the config server answered the worker that it left longest without.",
        (),
        _config_age,
    ),
    Family(
        GAUGE,
        "serin_config_rejected",
        "1 while a worker has rejected the newest document.",
        (),
        _one(lambda view: any(worker["rejected"] for worker in view.report["workers"])),
    ),
    Family(
        COUNTER,
        "serin_config_changes",
        "Configs put in force, counted in each worker.",
        (),
        _one(lambda view: view.report["counters"]["config_changes"]),
    ),
    *OBSERVED,
)
