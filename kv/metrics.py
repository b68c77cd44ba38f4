"""/-/metrics: the figures in the words of Prometheus, read at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kv import __version__
from kv.figures import Figures
from kv.lag import BOUNDS, Lag
from kv.store import Store

Samples = list[tuple[tuple[str, ...], float]]


class Sources(NamedTuple):
    """Where the figures are."""

    store: Store
    figures: Figures
    lag: Lag


class Family(NamedTuple):
    """One metric: its labels' names, and the labels' values with the number of each of its samples."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[Sources], Samples]


def _one(read: Callable[[Sources], float]) -> Callable[[Sources], Samples]:
    return lambda sources: [((), read(sources))]


def _of_engine(name: str) -> Callable[[Sources], Samples]:
    """No sample where the engine does not know."""

    def samples(sources: Sources) -> Samples:
        value: Any = sources.store.engine.status().get(name)
        return [] if value is None else [((), float(value))]

    return samples


_COUNTER, _GAUGE = CounterMetricFamily, GaugeMetricFamily
FAMILIES = (
    Family(
        _GAUGE, "kv_build_info", "The config server that runs.", ("version",), lambda _: [((__version__,), 1)]
    ),
    Family(
        _GAUGE,
        "kv_start_time_seconds",
        "When it started, in seconds since the epoch.",
        (),
        _one(lambda sources: sources.figures.since),
    ),
    Family(
        _COUNTER,
        "kv_requests",
        "Requests answered; streams when they begin.",
        ("method", "status"),
        lambda sources: [
            ((method, str(status)), n) for (method, status), n in sources.figures.requests.items()
        ],
    ),
    Family(
        _COUNTER,
        "kv_writes",
        "Writes that succeeded, by the name of the token.",
        ("token",),
        lambda sources: [((name,), n) for name, n in sources.figures.writes.items()],
    ),
    Family(
        _COUNTER,
        "kv_commits",
        "Commits that changed something, whichever server made them.",
        (),
        _one(lambda sources: sources.store.hub.commits),
    ),
    Family(
        _GAUGE,
        "kv_revision",
        "The newest revision that watchers have been told of.",
        (),
        _one(lambda sources: sources.store.revision),
    ),
    Family(_GAUGE, "kv_watchers", "Clients that wait.", (), _one(lambda sources: sources.store.hub.watchers)),
    Family(_GAUGE, "kv_keys", "Keys with a history, deleted ones included.", (), _of_engine("keys")),
    Family(_GAUGE, "kv_store_bytes", "What the store takes on disk.", (), _of_engine("bytes")),
)


class _Figures(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        for kind, name, text, labels, samples in FAMILIES:
            family = kind(name, text, labels=labels)
            for values, number in samples(self._sources):
                family.add_metric(values, number)
            yield family
        yield _lag(self._sources.lag)


def _lag(lag: Lag) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "kv_hub_lag_seconds", "How long whoever is ready to run waits for a turn, ten times a second."
    )
    counts = [float(count) for count in accumulate(lag.buckets)]
    family.add_metric((), list(zip([*map(str, BOUNDS), "+Inf"], counts, strict=True)), lag.seconds)
    return family


def registry(sources: Sources) -> CollectorRegistry:
    """What `sources` know, and what the kernel knows of this process."""
    made = CollectorRegistry()
    made.register(_Figures(sources))
    ProcessCollector(registry=made)
    return made
