from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.admin.instance import instance_report
from app.admin.observer import Observer
from app.admin.reporter import TTL, Reporter
from app.config.keys import KeyClient, Listing
from app.pilot.instances import instances
from tests.admin.instance import Instance
from tests.support.keys import config_server, connected
from tests.support.processes import fetch, free_port, wait_until

Make = Callable[..., Reporter]


@pytest.fixture
def url() -> Iterator[str]:
    with config_server() as found:
        yield found


@pytest.fixture
def keys(url: str) -> Iterator[KeyClient]:
    with connected(url) as client:
        yield client


@pytest.fixture
def reporting() -> Iterator[Make]:
    made: list[Reporter] = []

    def make(report: Any, urls: Any, period: float = 0.02, **options: Any) -> Reporter:
        reporter = Reporter(report, "shop/instances/", urls, KeyClient, pid=7, period=period, **options)
        made.append(reporter)
        reporter.start()
        return reporter

    yield make
    for each in made:
        each.stop()


def listed(keys: KeyClient) -> Listing:
    found = keys.scan("shop/instances/")
    assert found
    return found


def test_reports_again_and_again(reporting: Make, keys: KeyClient, url: str) -> None:
    count = iter(range(10_000))
    reporter = reporting(lambda: {"n": next(count)}, lambda: url)
    wait_until(lambda: [each.value["n"] > 2 for each in listed(keys).entries] == [True])
    assert listed(keys).entries[0].key == reporter.key


def test_a_report_goes_by_itself(reporting: Make, keys: KeyClient, url: str) -> None:
    reporting(dict, lambda: url)
    wait_until(lambda: listed(keys).entries)
    (item,) = fetch("GET", f"{url}/v1/kv/shop/instances/").json()["items"]
    assert item["ttl"] == TTL


def test_takes_its_report_back_when_it_stops(reporting: Make, keys: KeyClient, url: str) -> None:
    reporter = reporting(dict, lambda: url)
    wait_until(lambda: listed(keys).entries)
    reporter.stop()
    assert not listed(keys).entries


def test_reports_at_once_when_something_has_changed(reporting: Make, keys: KeyClient, url: str) -> None:
    count = iter(range(10_000))
    reporter = reporting(lambda: {"n": next(count)}, lambda: url, period=60.0)
    wait_until(lambda: listed(keys).entries)
    reporter.hurry()
    wait_until(lambda: listed(keys).entries[0].value["n"] == 1)


def test_follows_the_config_server(reporting: Make, keys: KeyClient, url: str) -> None:
    with config_server() as another, connected(another) as other_keys:
        where = [url]
        reporting(dict, lambda: where[0])
        wait_until(lambda: listed(keys).entries)
        where[0] = another
        wait_until(lambda: listed(other_keys).entries)
        assert not listed(keys).entries


def test_it_asks_the_config_server_that_takes_its_reports(reporting: Make, keys: KeyClient, url: str) -> None:
    asked: list[str] = []
    where = [f"http://127.0.0.1:{free_port()}"]

    def urls() -> str:
        return where[0]

    reporting(dict, urls, ask=lambda server: asked.extend(server.urls))
    where[0] = url
    wait_until(lambda: len(asked) > 1)
    assert set(asked) == {url}
    assert listed(keys).entries


def test_a_config_server_that_is_away_is_one_line(
    reporting: Make, keys: KeyClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    where = [f"http://127.0.0.1:{free_port()}"]
    asked: list[str] = []

    def urls() -> str:
        asked.append(where[0])
        return where[0]

    with caplog.at_level(logging.INFO, "app.admin.reporter"):
        reporting(dict, urls)
        wait_until(lambda: len(asked) > 3)
        where[0] = url
        wait_until(lambda: listed(keys).entries)
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in told] == [
        "the config server does not take this instance's reports",
        "the config server takes this instance's reports again",
    ]


def test_a_report_that_cannot_be_made_is_told_and_not_the_last(
    reporting: Make, keys: KeyClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    reports = iter([{"nonsense": float("nan")}, *[{"n": 1}] * 10_000])
    reporting(lambda: next(reports), lambda: url)
    wait_until(lambda: listed(keys).entries)
    assert "could not be reported" in caplog.text


def test_the_pilot_reads_what_an_instance_reports(
    reporting: Make, keys: KeyClient, url: str, instance: Instance
) -> None:
    instance.apply().serve("canary", 200, 503)
    observer = Observer(instance.stats.books)
    reporting(lambda: instance_report(instance.live, "http://127.0.0.1:8081", observer), lambda: url)
    (found,) = wait_until(lambda: instances(keys, "shop"))
    assert (found.etag, found.revision, found.rejected) == ("3-abc", 3, None)
    canary = found.report["counters"]["versions"]["canary"]
    assert (canary["answered"][2], canary["answered"][5]) == (1, 1)
