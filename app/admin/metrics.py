"""/metrics: the figures in the words of Prometheus, made from plain ints at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app import __version__
from app.admin.live import View
from app.admin.report import Observation, VersionCounters
from app.admin.status import by_class, servers
from app.proxy.stats import BOUNDS
from app.rollout.observed import BARS

Samples = Iterable[tuple[tuple[str, ...], float]]


class Family(NamedTuple):
    """One metric: its labels' names, and the labels' values with the number for each of its samples."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[View], Samples]


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


def _observations(read: Callable[[Observation], float]) -> Callable[[View], Samples]:
    """A sample for each process."""
    return lambda view: [((id_,), read(each)) for id_, each in view.report["observations"].items()]


def _observed(
    read: Callable[[dict[str, Any], str], Mapping[tuple[str, ...], int]],
) -> Callable[[View], Samples]:
    """Samples by process, ratio and version, and maybe one thing more; `read` gets the stratum and the version."""
    return lambda view: [
        ((id_, str(stratum["ratio"]), version, *more), count)
        for id_, each in view.report["observations"].items()
        for stratum in each["strata"]
        for version in ("stable", "canary")
        for more, count in read(stratum, version).items()
    ]


def _observed_failures(stratum: dict[str, Any], version: str) -> Mapping[tuple[str, ...], int]:
    """One kind is always there: whoever reads none knows that figures are missing."""
    return {(reason,): count for reason, count in ({"5xx": 0} | stratum[version]["failures"]).items()}


def _observed_slow(stratum: dict[str, Any], version: str) -> Mapping[tuple[str, ...], int]:
    return {(bar,): count for bar, count in zip(BARS, stratum[version]["slow"], strict=True)}


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


_COUNTER, _GAUGE = CounterMetricFamily, GaugeMetricFamily
_SERVER = ("version", "server")
_OBSERVED = ("id", "ratio", "version")

FAMILIES = (
    Family(_GAUGE, "serin_build_info", "The Serin that runs.", ("serin",), lambda _: [((__version__,), 1)]),
    Family(
        _GAUGE,
        "serin_start_time_seconds",
        "When the service started, in seconds since the epoch.",
        (),
        _one(lambda view: view.report["since"]),
    ),
    Family(_GAUGE, "serin_workers", "Living processes.", (), _one(lambda view: len(view.report["workers"]))),
    Family(
        _GAUGE,
        "serin_connections",
        "Open client connections on the fast lane.",
        (),
        _one(lambda view: view.report["gauges"]["connections"]),
    ),
    Family(
        _COUNTER,
        "serin_responses",
        "Responses of servers to first tries, by status class.",
        ("version", "class"),
        _of_each_version(lambda counters: by_class(counters["answered"])),
    ),
    Family(
        _COUNTER,
        "serin_failures",
        "First tries that a server did not complete.",
        ("version", "reason"),
        _of_each_version(lambda counters: counters["failures"]),
    ),
    Family(
        _COUNTER,
        "serin_spared",
        "First tries that failed, and whose clients got a good answer all the same: retry, shield or rescue.",
        ("version", "by"),
        _of_each_version(lambda counters: counters["spared"]),
    ),
    Family(
        _COUNTER,
        "serin_tries",
        "Tries beyond the first, by what they were for, and those that the budget did not allow.",
        ("why",),
        lambda view: _by_word(view.report["counters"]["tries"]),
    ),
    Family(
        _COUNTER,
        "serin_client_aborts",
        "Exchanges that the client did not complete.",
        ("version",),
        lambda view: _by_word(
            {name: counters["aborts"] for name, counters in view.report["counters"]["versions"].items()}
        ),
    ),
    Family(
        _COUNTER,
        "serin_choices",
        "Choices of a server by what decided: override, sticky, style or rescue.",
        ("how",),
        lambda view: _by_word(view.report["counters"]["choices"]),
    ),
    Family(
        _COUNTER,
        "serin_refused",
        "Requests that got an error of Serin's own.",
        ("reason",),
        lambda view: _by_word(view.report["counters"]["refused"]),
    ),
    Family(
        _GAUGE,
        "serin_waiting",
        "Requests in the queue.",
        (),
        _one(lambda view: view.report["gauges"]["waiting"]),
    ),
    Family(
        _GAUGE,
        "serin_version_available",
        "1 while every worker has a server of this version, or the config has none.",
        ("version",),
        lambda view: [
            ((name,), int(not view.report["gauges"]["out"].get(name))) for name in ("stable", "canary")
        ],
    ),
    Family(_GAUGE, "serin_server_weight", "Weight in the config.", _SERVER, _of_each_server("weight")),
    Family(
        _GAUGE,
        "serin_server_available",
        "1 while every worker sends requests there.",
        _SERVER,
        _of_each_server("available"),
    ),
    Family(_GAUGE, "serin_server_in_flight", "Exchanges under way.", _SERVER, _of_each_server("in_flight")),
    Family(_COUNTER, "serin_server_requests", "Exchanges that ended.", _SERVER, _of_each_server("requests")),
    Family(_COUNTER, "serin_server_failures", "Exchanges that failed.", _SERVER, _of_each_server("failures")),
    Family(
        _COUNTER, "serin_server_ejections", "Ejections of the server.", _SERVER, _of_each_server("ejections")
    ),
    Family(
        _GAUGE, "serin_ratio", "The canary's share in the config.", (), _one(lambda view: view.config.ratio)
    ),
    Family(_GAUGE, "serin_config_info", "The config in force.", ("etag", "source", "style"), _config_info),
    Family(
        _GAUGE,
        "serin_config_age_seconds",
        "Time since the config server answered the worker that it left longest without.",
        (),
        _config_age,
    ),
    Family(
        _GAUGE,
        "serin_config_rejected",
        "1 while a worker has rejected the newest document.",
        (),
        _one(lambda view: any(worker["rejected"] for worker in view.report["workers"])),
    ),
    Family(
        _COUNTER,
        "serin_config_changes",
        "Configs put in force, counted in each worker.",
        (),
        _one(lambda view: view.report["counters"]["config_changes"]),
    ),
    Family(
        _GAUGE,
        "serin_observed_at_seconds",
        "When a process made its figures for the verdict, in seconds since the epoch.",
        ("id",),
        _observations(lambda each: each["at"]),
    ),
    Family(
        _GAUGE,
        "serin_observed_sticky",
        "1 where visitors stick: the verdict then needs to know more than is here.",
        ("id",),
        _observations(lambda each: int(each["sticky"])),
    ),
    Family(
        _COUNTER,
        "serin_observed_requests",
        "Requests that count for the verdict, by the ratio that sent them.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum[version]["requests"]}),
    ),
    Family(
        _COUNTER,
        "serin_observed_aborts",
        "Of those that the ratio sent, the ones whose client left.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum[version]["aborts"]}),
    ),
    Family(
        _COUNTER,
        "serin_observed_diverted",
        "Requests that came while a version was out, by where they went: the ratio did not decide on them.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum["diverted"][version]}),
    ),
    Family(
        _COUNTER,
        "serin_observed_failures",
        "Of the requests that count, those that failed.",
        (*_OBSERVED, "reason"),
        _observed(_observed_failures),
    ),
    Family(
        _COUNTER,
        "serin_observed_slow",
        "Of the requests that count, successes whose head took longer than a bar.",
        (*_OBSERVED, "bar"),
        _observed(_observed_slow),
    ),
)
