"""From series of Prometheus back to what instances observe: the inverse of `serin_observed_*` in their /metrics.

Knows only the answer, not who was asked. All figures of a process are of one scrape; when, its own clock says.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NamedTuple

from app.errors import InvalidState
from app.rollout import report
from app.rollout.observed import BARS, Observed

PREFIX = "serin_observed_"
# Labels that tell apart the series of one process; all others, its id and those of the scrape, are the same in each.
_OWN = ("__name__", "ratio", "version", "reason", "bar")


class Figures(NamedTuple):
    """Of one process. `at`: when it made them, by its own clock. `sticky`: they do not suffice, its visitors stick."""

    at: float
    sticky: bool
    observed: Observed


class _Place(NamedTuple):
    """What a sample is about. `word`: the reason of a failure, or a bar."""

    name: str
    ratio: str = ""
    version: str = ""
    word: str = ""


def read(answer: bytes) -> dict[str, Figures]:
    """The newest figures of each instance, by its id, out of the answer to an instant query. Raises InvalidState.

    A process that is scraped twice, by two jobs, say, is there twice: nothing is added up.
    """
    try:
        newest: dict[str, Figures] = {}
        for identity, samples in _by_process(_vector(answer)):
            figures = _figures(samples)
            if identity not in newest or newest[identity].at < figures.at:
                newest[identity] = figures
    except KeyError as fault:
        raise InvalidState(f"has not all figures of an instance: {fault.args[0]}") from None
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as fault:
        raise InvalidState(f"gave an answer that cannot be read: {fault!r:.100}") from None
    return newest


def _vector(answer: bytes) -> Iterable[Any]:
    document = json.loads(answer)
    if document.get("status") != "success":
        raise InvalidState(f"refuses: {document.get('error', 'it does not say why')!s:.200}")
    data = document.get("data", {})
    if data.get("resultType") != "vector":
        raise ValueError(f"not a vector: {data.get('resultType')!r:.40}")
    found: Iterable[Any] = data["result"]
    return found


def _by_process(vector: Iterable[Any]) -> Iterable[tuple[str, dict[_Place, float]]]:
    processes: defaultdict[frozenset[Any], dict[_Place, float]] = defaultdict(dict)
    for each in vector:
        labels = each["metric"]
        rest = frozenset((name, text) for name, text in labels.items() if name not in _OWN)
        processes[rest][_place(labels)] = _number(each["value"][1])
    return [(dict(rest)["id"], samples) for rest, samples in processes.items()]


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text!r:.40} is not a number")
    return number


def _place(labels: Mapping[str, str]) -> _Place:
    word = labels.get("reason") or labels.get("bar", "")
    return _Place(labels["__name__"], labels.get("ratio", ""), labels.get("version", ""), word)


def _figures(samples: Mapping[_Place, float]) -> Figures:
    ratios = sorted({place.ratio for place in samples if place.ratio})
    strata = [_stratum(ratio, samples) for ratio in ratios]
    try:
        observed = report.load({"strata": strata, "visitors": None})
    except InvalidState as fault:
        raise ValueError(str(fault)) from None
    return Figures(_at(samples, "at_seconds"), bool(_at(samples, "sticky")), observed)


def _stratum(ratio: str, samples: Mapping[_Place, float]) -> dict[str, Any]:
    """As rollout.report has it."""
    versions = ("stable", "canary")
    diverted = {version: int(_at(samples, "diverted_total", ratio, version)) for version in versions}
    outcomes = {version: _outcomes(ratio, version, samples) for version in versions}
    return {"ratio": float(ratio), "diverted": diverted, **outcomes}


def _outcomes(ratio: str, version: str, samples: Mapping[_Place, float]) -> dict[str, Any]:
    failures = {
        place.word: int(count)
        for place, count in samples.items()
        if place[:3] == (f"{PREFIX}failures_total", ratio, version)
    }
    if not failures:
        raise KeyError(f"{PREFIX}failures_total")
    return {
        "requests": int(_at(samples, "requests_total", ratio, version)),
        "aborts": int(_at(samples, "aborts_total", ratio, version)),
        "failures": failures,
        "slow": [int(_at(samples, "slow_total", ratio, version, bar)) for bar in BARS],
    }


def _at(samples: Mapping[_Place, float], name: str, *where: str) -> float:
    place = _Place(PREFIX + name, *where)
    if place not in samples:
        raise KeyError(place.name)
    return samples[place]
