from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.admin.figures import Alone
from app.errors import InvalidState
from app.pilot.series import Figures, read
from app.rollout import report
from app.rollout.observed import Diverted, Observed, Outcomes, Stratum
from tests.admin.instance import ID, NOW, Instance
from tests.pilot.prometheus import sample, samples, vector

counts = st.integers(0, 2**50)
failures = st.dictionaries(st.sampled_from(["connect", "truncated", "head_timeout"]), counts)
outcomes = st.builds(
    Outcomes,
    counts,
    counts,
    failures.map(lambda found: {"5xx": 0} | found),
    st.tuples(counts, counts, counts, counts),
)
strata = st.builds(Stratum, st.floats(0, 1), outcomes, outcomes, st.builds(Diverted, counts, counts))
several = st.lists(strata, max_size=3, unique_by=lambda stratum: stratum.ratio)


def scraped(instance: Instance, observed: Observed) -> list[dict[str, Any]]:
    """The samples that Prometheus would take of the instance's /metrics, were that what it observes."""
    told = {**instance.live.report(), "observations": {ID: _observation(observed)}}
    text = instance.served_with(Alone(lambda: told)).get("/metrics").text  # type: ignore[arg-type, return-value]
    return [
        sample(each.name, each.value, instance="10.0.0.5:8081", **each.labels)
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name.startswith("serin_observed_")
    ]


def _observation(observed: Observed) -> dict[str, Any]:
    return {"at": NOW, "sticky": False, "strata": report.dump(observed)["strata"]}


@given(several)
def test_what_goes_through_prometheus_comes_back(found: list[Stratum]) -> None:
    figures = read(vector(scraped(Instance(), Observed(tuple(found)))))
    by_text = sorted(found, key=lambda stratum: str(stratum.ratio))
    assert figures == {ID: Figures(NOW, sticky=False, observed=Observed(tuple(by_text)))}


def test_of_a_process_that_is_scraped_twice_the_newer_counts() -> None:
    old, new = samples("a", at=5.0, requests=50, job="one"), samples("a", at=6.0, requests=60, job="two")
    for answer in (old + new, new + old):
        (stratum,) = read(vector(answer))["a"].observed.strata
        assert stratum.canary.requests == 60


def test_instances_are_told_apart() -> None:
    assert read(vector(samples("a") + samples("b", sticky=1)))["b"].sticky
    assert read(vector([])) == {}


@pytest.mark.parametrize("lost", sorted({each["metric"]["__name__"] for each in samples("a")}))
def test_a_figure_that_does_not_come_is_not_taken_for_zero(lost: str) -> None:
    left = [each for each in samples("a") if each["metric"]["__name__"] != lost]
    with pytest.raises(InvalidState, match=f"has not all figures of an instance: {lost}"):
        read(vector(left))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "cannot be read"),
        (b"<html>", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"status": "success"}', "not a vector"),
        (b'{"status": "error", "error": "parse error"}', "refuses: parse error"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": []}}', "not a vector"),
        (vector([{"metric": {}, "value": [0, "1"]}]), "not all figures"),
        (vector([{"metric": {"__name__": "x", "id": "a"}, "value": [0, "one"]}]), "cannot be read"),
        *[
            (vector([*samples("a"), changed]), "cannot be read")
            for changed in (
                sample("serin_observed_at_seconds", "NaN", id="a"),
                sample("serin_observed_requests_total", "+Inf", id="a", ratio="0.1", version="canary"),
                sample("serin_observed_requests_total", "-1", id="a", ratio="0.1", version="canary"),
            )
        ],
    ],
)
def test_an_answer_that_is_none_is_told(answer: bytes, why: str) -> None:
    with pytest.raises(InvalidState, match=why):
        read(answer)
