from __future__ import annotations

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.report import Report, Worker, departed, merge, unready
from tests.admin.instance import NOW, STABLE, Instance

counts = st.integers(0, 2**40)
words = st.dictionaries(st.sampled_from(["a", "b", "c"]), counts)
several = st.lists(counts, min_size=4, max_size=4)
versions = st.fixed_dictionaries(
    {
        **{"answered": several, "failures": words, "aborts": counts},
        **{"buckets": several, "nanoseconds": counts, "spared": words},
    }
)
urls = st.sampled_from(["http://a", "http://b"])
workers = st.fixed_dictionaries({"pid": st.integers(1, 2**22), "since": counts})
reports = st.fixed_dictionaries(
    {
        "since": st.floats(0, 2e9),
        "observations": st.just({}),
        "counters": st.fixed_dictionaries(
            {
                "versions": st.fixed_dictionaries({"stable": versions, "canary": versions}),
                "servers": st.dictionaries(
                    urls,
                    st.fixed_dictionaries({"requests": counts, "failures": counts, "ejections": counts}),
                ),
                "choices": words,
                "tries": words,
                "refused": words,
                "config_changes": counts,
            }
        ),
        "gauges": st.fixed_dictionaries(
            {
                "connections": counts,
                "waiting": counts,
                "out": words,
                "servers": st.dictionaries(
                    urls,
                    st.fixed_dictionaries(
                        dict.fromkeys(("in_flight", "down", "ejected", "starting"), counts)
                    ),
                ),
            }
        ),
        "workers": st.lists(workers, max_size=1),
    }
)


def worker(
    *, source: str | None = "config_server", trouble: str | None = None, draining: bool = False
) -> Worker:
    return {
        "pid": 1,
        "since": 0.0,
        "etag": None,
        "revision": None,
        "source": source,
        "answered_at": None,
        "rejected": False,
        "trouble": trouble,
        "draining": draining,
    }


@given(reports, reports, reports)
def test_it_does_not_matter_who_is_added_to_whom(one: Report, two: Report, three: Report) -> None:
    assert merge([merge([one, two]), three]) == merge([one, merge([two, three])]) == merge([one, two, three])


@given(st.lists(reports, min_size=3, max_size=3))
def test_the_order_does_not_matter(three: list[Report]) -> None:
    first, *others = [merge(order) for order in permutations(three)]
    assert all(other == first for other in others)


@given(reports)
def test_one_report_is_its_own_sum_and_survives_json(report: Report) -> None:
    assert merge([report]) == report
    assert json.loads(json.dumps(report)) == report


@given(reports, reports)
def test_the_dead_take_nothing_but_their_gauges_with_them(living: Report, dying: Report) -> None:
    before, after = merge([living, dying]), merge([living, departed(dying)])
    assert after["counters"] == before["counters"]
    assert after["since"] == before["since"]
    assert (after["gauges"], after["workers"]) == (living["gauges"], living["workers"])


def test_figures_are_added_where_both_have_them_and_kept_where_one_has() -> None:
    one, other = Instance().apply(), Instance().apply({"canary": {"servers": []}})
    one.serve("stable", 200, 503)
    one.serve("canary", 200)
    other.serve("stable", 200)
    other.figures("stable").fail("connect")
    total = merge([one.live.report(), other.live.report()])
    assert total["counters"]["versions"]["stable"]["answered"][2] == 2
    assert total["counters"]["versions"]["stable"]["failures"] == {"connect": 1}
    assert sum(total["counters"]["versions"]["canary"]["buckets"]) == 1
    assert total["counters"]["servers"][STABLE]["requests"] == 3
    assert len(total["workers"]) == 2


def test_observations_are_those_of_the_living() -> None:
    seen = {"at": NOW, "sticky": False, "strata": []}
    one: Report = {**Instance().live.report(), "observations": {"a": seen}}
    other: Report = {**Instance().live.report(), "observations": {"b": seen}}
    assert merge([one, other])["observations"].keys() == {"a", "b"}
    assert merge([one, departed(other)])["observations"].keys() == {"a"}


def test_a_service_is_as_old_as_its_first_process() -> None:
    older, newer = Instance(), Instance(started=NOW + 60)
    assert merge([newer.live.report(), older.live.report()])["since"] == NOW


def test_a_report_stays_as_it_was_while_the_counting_goes_on(instance: Instance) -> None:
    report = instance.apply().live.report()
    before = json.dumps(report)
    instance.serve("stable", 200, 500)
    instance.gateway.stats.refuse("no_server")
    instance.figures("stable").fail("connect")
    assert json.dumps(report) == before


def test_merging_changes_none_of_the_parts(instance: Instance) -> None:
    report = instance.apply().live.report()
    before = json.dumps(report)
    merge([report, report])
    assert json.dumps(report) == before


@pytest.mark.parametrize(
    ("workers", "problem"),
    [
        ([worker(), worker()], None),
        ([worker(), worker(draining=True)], None),
        ([worker(), worker(source=None, draining=True)], None),
        ([worker(draining=True)], "draining"),
        ([worker(draining=True), worker(draining=True)], "draining"),
        ([worker(), worker(source=None)], "no config in force: none was read yet"),
        ([worker(source=None, trouble="it rains")], "no config in force: it rains"),
    ],
)
def test_a_service_is_ready_when_all_who_serve_have_a_config(
    workers: list[Worker], problem: str | None
) -> None:
    assert unready(workers) == problem
