from __future__ import annotations

import pytest

from tests.config.instance import Instance
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import wait_until


@pytest.fixture
def other() -> FakeConfigServer:
    with FakeConfigServer(document(ratio=0.9)) as running:
        yield running


def test_follows_the_document_to_another_server(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance
) -> None:
    instance.start(server.url)
    server.put(document(config_server=other.url))
    instance.gets(0.9)
    instance.shows(config_server=other.url, moving=None, etag=other.etag)
    other.put(document(ratio=0.8, update_rate=3600))
    instance.gets(0.8)
    other.put(document(ratio=0.7, update_rate=3600))
    instance.gets(0.7)


def test_leaving_a_server_is_no_failure_of_it(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    server.put(document(config_server=other.url))
    instance.start(server.url).shows(config_server=other.url)
    wait_until(lambda: any("watch" in query for _, query in other.requests))
    assert not [record for record in caplog.records if record.levelname != "INFO" and "app" in record.name]


@pytest.mark.parametrize("mood", ["fail", "garbage", "hang", "stranger"])
def test_stays_while_the_other_server_has_no_valid_config(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance, mood: str
) -> None:
    other.mood = mood
    instance.start(server.url)
    server.put(document(config_server=other.url, ratio=0.2))
    wait_until(lambda: instance.state().moving)
    assert instance.state().moving.startswith(other.url)
    assert instance.state().config_server == server.url
    server.put(document(config_server=other.url, ratio=0.3))
    instance.gets(0.3)
    other.mood = "well"
    instance.shows(config_server=other.url, moving=None)


def test_a_document_that_names_no_other_server_any_more_ends_the_attempt(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance
) -> None:
    other.mood = "fail"
    instance.start(server.url)
    server.put(document(config_server=other.url))
    wait_until(lambda: instance.state().moving)
    server.put(document())
    instance.shows(moving=None, config_server=server.url)


def test_servers_that_name_each_other_are_visited_in_turn_no_faster_than_update_rate(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance
) -> None:
    now = [1000.0]
    other.put(document(config_server=server.url, ratio=0.9))
    server.put(document(config_server=other.url))
    instance.start(server.url, clock=lambda: now[0]).shows(config_server=other.url)
    rounds = len(other.requests)
    wait_until(lambda: len(other.requests) > rounds + 5)
    assert instance.state().config_server == other.url
    now[0] += 1
    instance.shows(config_server=server.url)


def test_a_start_without_the_old_server_goes_on_with_the_new_one(
    server: FakeConfigServer, other: FakeConfigServer, instance: Instance
) -> None:
    other.put(document(config_server=other.url, ratio=0.9))
    server.put(document(config_server=other.url))
    instance.start(server.url).shows(config_server=other.url)
    instance.stop()
    server.stop()
    instance.start(server.url).shows(config_server=other.url, source="config_server")
