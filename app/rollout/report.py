"""How an instance's observations travel: as JSON within its report, which other versions of Serin may have written."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from app.errors import InvalidState
from app.rollout.buckets import BUCKETS, SLICE_BYTES, SLICES
from app.rollout.observed import (
    BARS,
    KINDS,
    MOST_RECENT,
    MOST_STRATA,
    Diverted,
    Observed,
    Outcomes,
    Recent,
    Stratum,
    Visitors,
)


def dump(observed: Observed) -> dict[str, Any]:
    """As JSON: `load(dump(observed)) == observed`."""
    return {
        "strata": [_dump_stratum(each) for each in observed.strata],
        "visitors": observed.visitors and _dump_visitors(observed.visitors),
    }


def load(data: Any) -> Observed:
    """What JSON spells; what it does not know is for others. Raises InvalidState."""
    try:
        strata = tuple(_load_stratum(each) for each in _at_most(MOST_STRATA, data["strata"]))
        return Observed(strata, data["visitors"] and _load_visitors(data["visitors"]))
    except (AttributeError, LookupError, TypeError, ValueError) as fault:
        raise InvalidState(f"not what an instance observes: {fault!r:.100}") from None


def _dump_stratum(stratum: Stratum) -> dict[str, Any]:
    return {
        "ratio": stratum.ratio,
        "stable": _dump_outcomes(stratum.stable),
        "canary": _dump_outcomes(stratum.canary),
        "diverted": stratum.diverted._asdict(),
    }


def _dump_outcomes(outcomes: Outcomes) -> dict[str, Any]:
    return {
        "requests": outcomes.requests,
        "aborts": outcomes.aborts,
        "failures": dict(outcomes.failures),
        "slow": list(outcomes.slow),
    }


def _dump_visitors(visitors: Visitors) -> dict[str, Any]:
    recent = {
        kind: [{"ratio": each.ratio, "buckets": list(each.buckets)} for each in groups]
        for kind, groups in visitors.recent.items()
    }
    return {
        "part": visitors.part,
        "seen": b64encode(visitors.seen).decode(),
        "recent": recent,
        "canary": visitors.canary,
    }


def _load_stratum(data: Any) -> Stratum:
    return Stratum(
        _ratio(data["ratio"]),
        _load_outcomes(data["stable"]),
        _load_outcomes(data["canary"]),
        Diverted(*(_count(data["diverted"][version]) for version in Diverted._fields)),
    )


def _load_outcomes(data: Any) -> Outcomes:
    slow = tuple(_count(each) for each in data["slow"])
    if len(slow) != len(BARS):
        raise ValueError(f"{len(slow)} bars")
    failures = {str(kind): _count(count) for kind, count in data["failures"].items()}
    return Outcomes(_count(data["requests"]), _count(data["aborts"]), failures, slow)


def _load_visitors(data: Any) -> Visitors:
    seen = b64decode(data["seen"], validate=True)
    if len(seen) != SLICE_BYTES:
        raise ValueError(f"{len(seen)} bytes of visitors")
    recent = {kind: _load_recent(data["recent"].get(kind, [])) for kind in KINDS}
    return Visitors(_count(data["part"], SLICES), seen, recent, _count(data["canary"]))


def _load_recent(data: Any) -> tuple[Recent, ...]:
    groups = tuple(
        Recent(_ratio(each["ratio"]), tuple(_count(bucket, BUCKETS) for bucket in each["buckets"]))
        for each in data
    )
    _at_most(MOST_RECENT, [bucket for group in groups for bucket in group.buckets])
    return groups


def _at_most(most: int, items: Any) -> Any:
    if len(items) > most:
        raise ValueError(f"{len(items)} items")
    return items


def _count(value: Any, end: float = 2**63) -> int:
    if type(value) is not int or not 0 <= value < end:
        raise ValueError(f"{value!r:.40} is not a count")
    return value


def _ratio(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r:.40} is not a share")
    return float(value)
