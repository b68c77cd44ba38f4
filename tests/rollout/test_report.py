from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidState
from app.rollout.buckets import BUCKETS, SLICE_BYTES, SLICES
from app.rollout.observed import (
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
from app.rollout.report import dump, load

COUNTS = st.integers(0, 2**53)
OUTCOMES = st.builds(
    Outcomes,
    COUNTS,
    COUNTS,
    st.dictionaries(st.text(max_size=9), COUNTS, max_size=3),
    st.tuples(*[COUNTS] * 4),
)
SHARES = st.floats(0, 1)
RECENT = st.lists(
    st.builds(Recent, SHARES, st.lists(st.integers(0, BUCKETS - 1), max_size=5).map(tuple)), max_size=3
).map(tuple)
VISITORS = st.builds(
    Visitors,
    st.integers(0, SLICES - 1),
    st.binary(min_size=4, max_size=4).map(lambda some: some * (SLICE_BYTES // 4)),
    st.fixed_dictionaries(dict.fromkeys(KINDS, RECENT)),
    COUNTS,
)
REPORTS = st.builds(
    Observed,
    st.lists(
        st.builds(Stratum, SHARES, OUTCOMES, OUTCOMES, st.builds(Diverted, COUNTS, COUNTS)), max_size=3
    ).map(tuple),
    st.none() | VISITORS,
)


@given(REPORTS)
def test_it_travels_as_json(report: Observed) -> None:
    assert load(json.loads(json.dumps(dump(report)))) == report


def test_what_others_add_is_ignored() -> None:
    report = dump(Observed((Stratum(0.1),)))
    report["strata"][0]["mood"] = "fine"
    assert load(report | {"host": "a"}) == Observed((Stratum(0.1),))


def full() -> dict[str, Any]:
    recent = {kind: (Recent(0.1, (1, 2)),) for kind in KINDS}
    return dump(Observed((Stratum(0.1),), Visitors(3, bytes(SLICE_BYTES), recent)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("strata", None),
        ("strata", [{}]),
        ("strata", [dump(Observed((Stratum(0.1),)))["strata"][0]] * (MOST_STRATA + 1)),
        ("strata.0.ratio", "0.1"),
        ("strata.0.ratio", 1.1),
        ("strata.0.ratio", True),
        ("strata.0.ratio", float("nan")),
        ("strata.0.diverted.canary", -1),
        ("strata.0.canary", None),
        ("strata.0.canary.requests", 1.5),
        ("strata.0.canary.requests", 2**64),
        ("strata.0.canary.failures", {"a": True}),
        ("strata.0.canary.failures", []),
        ("strata.0.canary.slow", [1, 2, 3]),
        ("visitors.part", SLICES),
        ("visitors.seen", "!"),
        ("visitors.seen", "AAAA"),
        ("visitors.canary", None),
        ("visitors.recent", []),
        ("visitors.recent.failures", [{"ratio": 0.1, "buckets": [BUCKETS]}]),
        ("visitors.recent.failures", [{"ratio": 0.1, "buckets": list(range(MOST_RECENT + 1))}]),
    ],
)
def test_what_is_no_report(path: str, value: Any) -> None:
    report: Any = full()
    inner = report
    *way, name = path.split(".")
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    inner[name] = value
    with pytest.raises(InvalidState, match="not what an instance observes"):
        load(report)


@pytest.mark.parametrize("report", [None, [], 7, "x", {}])
def test_what_is_not_even_alike(report: Any) -> None:
    with pytest.raises(InvalidState):
        load(report)
