from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from app.config.current import Rejected
from app.proxy.stats import BOUNDS
from tests.admin.instance import CANARY, ID, IN_FORCE, NOW, STABLE, Instance


@pytest.fixture
def busy(instance: Instance) -> Instance:
    instance.apply().serve("stable", 200, 200, 404, seconds=0.02)
    instance.serve("canary", 200, 500, seconds=0.5)
    stats = instance.gateway.stats
    instance.figures("canary").fail("truncated")
    instance.figures("stable").aborts += 1
    instance.figures("canary").spared["shield"] += 3
    stats.tries["shield"] += 4
    stats.refuse("no_server")
    instance.loads[CANARY].in_flight = 2
    instance.loads[CANARY].failures = 1
    return instance


def test_metrics_and_status_agree(busy: Instance) -> None:
    metrics, status = busy.metrics(), busy.status()
    for version, shown in status["versions"].items():
        for word, count in shown["answered"].items():
            assert metrics["serin_responses_total", word, version] == count
        for reason, count in shown["failures"].items():
            assert metrics["serin_failures_total", reason, version] == count
        for by, count in shown["spared"].items():
            assert metrics["serin_spared_total", by, version] == count
        assert metrics["serin_version_available", version] == shown["available"]
        assert metrics["serin_client_aborts_total", version] == shown["aborts"]
        assert metrics["serin_response_head_seconds_count", version] == shown["head_seconds"]["count"]
        for server in shown["servers"]:
            for figure, suffix in (
                ("weight", ""),
                ("available", ""),
                ("in_flight", ""),
                ("requests", "_total"),
                ("failures", "_total"),
                ("ejections", "_total"),
            ):
                name = f"serin_server_{figure}{suffix}"
                assert metrics[name, server["url"], version] == server[figure]
    for how, count in status["choices"].items():
        assert metrics["serin_choices_total", how] == count
    for why, count in status["tries"].items():
        assert metrics["serin_tries_total", why] == count
    assert metrics["serin_waiting",] == status["waiting"] == 0
    assert metrics["serin_refused_total", "no_server"] == status["refused"]["no_server"] == 1


def test_the_figures_are_those_that_were_counted(busy: Instance) -> None:
    metrics = busy.metrics()
    assert metrics["serin_responses_total", "2xx", "stable"] == 2
    assert metrics["serin_responses_total", "5xx", "canary"] == 1
    assert metrics["serin_failures_total", "truncated", "canary"] == 1
    assert metrics["serin_client_aborts_total", "stable"] == 1
    assert metrics["serin_server_in_flight", CANARY, "canary"] == 2
    assert metrics["serin_server_requests_total", STABLE, "stable"] == 3
    assert metrics["serin_ratio",] == 0.25
    assert metrics["serin_workers",] == 1


def test_the_histogram_is_cumulative_and_in_seconds(busy: Instance) -> None:
    metrics = busy.metrics()
    counts = [
        metrics["serin_response_head_seconds_bucket", le, "stable"] for le in [*map(str, BOUNDS), "+Inf"]
    ]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)
    assert metrics["serin_response_head_seconds_bucket", str(BOUNDS[12]), "stable"] == 0
    assert metrics["serin_response_head_seconds_bucket", str(BOUNDS[13]), "stable"] == 3
    assert metrics["serin_response_head_seconds_sum", "stable"] == pytest.approx(0.06)


def test_the_config_is_told(instance: Instance) -> None:
    metrics = instance.apply().metrics()
    assert metrics["serin_config_info", "3-abc", "config_server", "ratio"] == 1
    assert metrics["serin_config_age_seconds",] == 0.5
    assert metrics["serin_config_rejected",] == 0
    assert metrics["serin_config_changes_total",] == 2


def test_a_rejected_document_raises_the_flag(instance: Instance) -> None:
    instance.apply(state=replace(IN_FORCE, rejected=Rejected("4-bad", NOW, {})))
    assert instance.metrics()["serin_config_rejected",] == 1


def test_there_is_no_age_before_the_config_server_has_answered(instance: Instance) -> None:
    metrics = instance.apply(state=replace(IN_FORCE, age=None, etag=None, source="file")).metrics()
    assert ("serin_config_age_seconds",) not in metrics
    assert metrics["serin_config_info", "", "file", "ratio"] == 1


def test_what_counts_for_the_verdict_is_told_by_process_and_ratio(busy: Instance) -> None:
    metrics = busy.metrics()
    assert metrics["serin_observed_at_seconds", ID] == NOW
    assert metrics["serin_observed_sticky", ID] == 0
    assert metrics["serin_observed_requests_total", ID, "0.25", "stable"] == 3
    assert metrics["serin_observed_failures_total", ID, "0.25", "5xx", "canary"] == 1
    assert metrics["serin_observed_failures_total", ID, "0.25", "5xx", "stable"] == 0
    assert metrics["serin_observed_slow_total", "p99", ID, "0.25", "stable"] == 0


def test_metrics_tell_where_visitors_stick(instance: Instance) -> None:
    assert instance.apply({"sticky_sessions": True}).metrics()["serin_observed_sticky", ID] == 1


def test_prometheus_gets_openmetrics_if_it_asks_for_it(busy: Instance) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = busy.get("/metrics", headers={"Accept": accept})
    assert answer.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_metrics(answer.text)}  # type: ignore[no-untyped-call]
    assert {"serin_responses", "serin_response_head_seconds", "serin_config_info"} <= names


def test_everybody_else_gets_plain_text(busy: Instance) -> None:
    assert busy.get("/metrics").content_type.startswith("text/plain; version=0.0.4")
