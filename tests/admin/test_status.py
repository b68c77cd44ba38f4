from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.config.current import Rejected
from tests.admin.instance import CANARY, DOCUMENT, IN_FORCE, NOTHING, NOW, STABLE, Instance

ROOT = Path(__file__).parents[2]
REJECTED = Rejected("4-bad", NOW - 60, {"ratio": "got 7, must be a number from 0 to 1"})


def test_the_config_in_force_is_shown_with_where_it_is_from(instance: Instance) -> None:
    config = instance.apply().status()["config"]
    assert {name: config[name] for name in ("etag", "revision", "source", "age", "changes")} == {
        "etag": "3-abc",
        "revision": 3,
        "source": "config_server",
        "age": 0.5,
        "changes": 2,
    }
    assert config["config_server"] == NOTHING.config_server
    assert config["document"]["ratio"] == DOCUMENT["ratio"]


def test_before_the_first_config_there_is_none_to_show(instance: Instance) -> None:
    status = instance.status()
    assert (status["ready"], status["config"]["document"], status["config"]["age"]) == (False, None, None)
    assert status["versions"]["stable"]["servers"] == []


def test_a_rejected_document_is_shown_with_every_fault(instance: Instance) -> None:
    status = instance.apply(state=replace(IN_FORCE, rejected=REJECTED)).status()
    assert status["config"]["rejected"] == {
        "etag": "4-bad",
        "at": "2027-01-15T07:59:00.000+00:00",
        "age": 60.0,
        "faults": {"ratio": "got 7, must be a number from 0 to 1"},
    }
    assert status["workers"][0]["trouble"] == "document rejected: ratio: got 7, must be a number from 0 to 1"
    assert status["ready"]


@pytest.mark.parametrize(
    "trouble",
    [{"error": "it hangs up"}, {"missing": True}, {"moving": "http://127.0.0.1:7002: refused"}],
    ids=["error", "missing", "moving"],
)
def test_what_is_wrong_with_the_config_server_is_shown(instance: Instance, trouble: dict[str, Any]) -> None:
    config = instance.apply(state=replace(IN_FORCE, **trouble)).status()["config"]
    assert {name: config[name] for name in trouble} == trouble


def test_servers_are_shown_with_their_load(instance: Instance) -> None:
    instance.apply().serve("stable", 200, 200)
    instance.loads[STABLE].in_flight = 4
    instance.loads[STABLE].failures = 1
    instance.loads[CANARY].down = True
    versions = instance.status()["versions"]
    assert versions["stable"]["servers"] == [
        {
            **{"url": STABLE, "weight": 3, "state": "up", "available": True, "in_flight": 4},
            **{"requests": 2, "failures": 1, "ejections": 0},
        }
    ]
    assert versions["canary"]["servers"][0]["available"] is False


@pytest.mark.parametrize(
    ("changes", "drain", "state", "available"),
    [
        ({}, False, "up", True),
        ({"down": True}, False, "down", False),
        ({"ejected": True}, False, "ejected", False),
        ({"down": True, "ejected": True}, False, "down", False),
        ({"tenths": 3}, False, "starting", True),
        ({"down": True}, True, "drains", False),
    ],
)
def test_a_server_has_a_state(
    instance: Instance, changes: dict[str, Any], drain: bool, state: str, available: bool
) -> None:
    instance.apply({"canary": {"servers": [{"url": CANARY, "drain": drain}]}})
    for name, value in changes.items():
        setattr(instance.loads[CANARY], name, value)
    (server,) = instance.status()["versions"]["canary"]["servers"]
    assert (server["state"], server["available"]) == (state, available)


def test_a_version_that_is_out_is_shown(instance: Instance) -> None:
    instance.apply()
    instance.loads[CANARY].down = True
    instance.gateway.refresh()
    versions = instance.status()["versions"]
    assert (versions["stable"]["available"], versions["canary"]["available"]) == (True, False)
    assert instance.metrics()["serin_version_available", "canary"] == 0


def test_the_users_who_were_spared_are_counted(instance: Instance) -> None:
    stats = instance.apply().gateway.stats
    instance.figures("canary").spared |= {"shield": 400, "rescue": 2}
    instance.figures("stable").spared["retry"] += 10
    stats.tries["over_budget"] += 1
    status = instance.status()
    assert status["users_spared"] == 412
    assert status["versions"]["canary"]["spared"] == {"retry": 0, "shield": 400, "rescue": 2}
    assert status["tries"] == {"retry": 0, "shield": 0, "rescue": 0, "over_budget": 1}


def test_outcomes_are_counted_by_version(instance: Instance) -> None:
    instance.apply().serve("canary", 200, 204, 404, 503, 101)
    canary = instance.figures("canary")
    canary.fail("head_timeout")
    canary.aborts += 2
    shown = instance.status()["versions"]["canary"]
    assert shown["answered"] == {"1xx": 1, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1}
    assert (shown["failures"], shown["aborts"]) == ({"head_timeout": 1}, 2)


def test_latency_is_estimated_from_the_histogram(instance: Instance) -> None:
    instance.apply().serve("stable", *[200] * 98, seconds=0.01)
    instance.serve("stable", 200, 200, seconds=3.0)
    latency = instance.status()["versions"]["stable"]["head_seconds"]
    assert latency["count"] == 100
    assert latency["mean"] == pytest.approx(0.0698)
    assert 0.008 <= latency["p50"] <= latency["p95"] <= 0.0114
    assert 2.82 <= latency["p99"] <= 4
    assert instance.status()["versions"]["canary"]["head_seconds"]["p50"] is None


def test_choices_refusals_and_connections_are_counted(instance: Instance) -> None:
    instance.apply().serve("stable", 200)
    instance.gateway.stats.refuse("no_server")
    status = instance.status()
    assert status["choices"] == {"override": 0, "sticky": 0, "style": 1, "rescue": 0}
    assert (status["refused"], status["connections"]) == ({"no_server": 1}, 0)


def test_no_secret_is_shown_anywhere(instance: Instance) -> None:
    overrides = [
        {"header": "x-beta", "value": "hush", "version": "canary"},
        {"cookie": "beta", "version": "canary"},
    ]
    instance.apply({"overrides": overrides, "salt": "pepper"})
    text = instance.get("/status").text + instance.get("/metrics").text
    assert "hush" not in text
    assert "pepper" not in text
    document = instance.status()["config"]["document"]
    assert document["salt"] == "(hidden)"
    assert [each["value"] for each in document["overrides"]] == ["(hidden)", None]
    assert document["overrides"][0]["header"] == "x-beta"


def test_an_empty_salt_is_no_secret(instance: Instance) -> None:
    assert instance.apply().status()["config"]["document"]["salt"] == ""


def test_uptime_and_ages_are_seconds_and_never_negative(instance: Instance) -> None:
    instance.apply()
    instance.now = NOW + 12.3456
    assert (instance.status()["uptime"], instance.status()["workers"][0]["age"]) == (12.346, 0.5)
    instance.now = NOW - 100
    assert instance.status()["uptime"] == 0


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert __version__ == project["version"]
