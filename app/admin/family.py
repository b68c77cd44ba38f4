"""What a metric of Serin's is, in the words of Prometheus, and where its samples are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from app.admin.live import View

COUNTER, GAUGE = CounterMetricFamily, GaugeMetricFamily

Samples = Iterable[tuple[tuple[str, ...], float]]


class Family(NamedTuple):
    """One metric: its labels' names, and the labels' values with the number for each of its samples."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[View], Samples]
