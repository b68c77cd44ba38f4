"""What counts for the verdict, as metrics of each process: `pilot.series` makes observations of them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.admin.family import COUNTER, GAUGE, Family, Samples
from app.admin.live import View
from app.admin.report import Observation
from app.rollout.observed import BARS


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


_OBSERVED = ("id", "ratio", "version")

OBSERVED = (
    Family(
        GAUGE,
        "serin_observed_at_seconds",
        "When a process made its figures for the verdict, in seconds since the epoch.",
        ("id",),
        _observations(lambda each: each["at"]),
    ),
    Family(
        GAUGE,
        "serin_observed_sticky",
        "1 where visitors stick: the verdict then needs to know more than is here.",
        ("id",),
        _observations(lambda each: int(each["sticky"])),
    ),
    Family(
        COUNTER,
        "serin_observed_requests",
        "Requests that count for the verdict, by the ratio that sent them.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum[version]["requests"]}),
    ),
    Family(
        COUNTER,
        "serin_observed_aborts",
        "Of those that the ratio sent, the ones whose client left.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum[version]["aborts"]}),
    ),
    Family(
        COUNTER,
        "serin_observed_diverted",
        "Requests that came while a version was out, by where they went: the ratio did not decide on them.",
        _OBSERVED,
        _observed(lambda stratum, version: {(): stratum["diverted"][version]}),
    ),
    Family(
        COUNTER,
        "serin_observed_failures",
        "Of the requests that count, those that failed.",
        (*_OBSERVED, "reason"),
        _observed(_observed_failures),
    ),
    Family(
        COUNTER,
        "serin_observed_slow",
        "Of the requests that count, successes whose head took longer than a bar.",
        (*_OBSERVED, "bar"),
        _observed(_observed_slow),
    ),
)
