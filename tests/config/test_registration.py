from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app.config.client import ConfigClient
from app.config.json_schema import NAME, json_schema
from app.config.registration import Registration, register
from app.errors import ConfigConflict, ConfigServerError
from tests.config.instance import KEY, LIMIT
from tests.support.config_server import FakeConfigServer
from tests.support.processes import wait_until


def connect(urls: str) -> ConfigClient:
    return ConfigClient(urls, KEY, limit=LIMIT, of="schema")


def variant(**changes: Any) -> bytes:
    return json.dumps(json_schema() | changes).encode()


@pytest.fixture(autouse=True)
def of_schemas(server: FakeConfigServer, empty_server: FakeConfigServer) -> None:
    server.of = empty_server.of = "schema"


class Registering:
    """A registration, and the config server that it believes to be the present one."""

    def __init__(self, server: FakeConfigServer) -> None:
        self.server = server
        self.registration = Registration(connect, lambda: self.server.url, pause=0.01)

    def start(self) -> None:
        self.registration.start()

    def gave(self, server: FakeConfigServer) -> None:
        wait_until(lambda: server.raw == variant(), what="the schema at the config server")


@pytest.fixture
def registering(empty_server: FakeConfigServer) -> Iterator[Registering]:
    under_test = Registering(empty_server)
    yield under_test
    under_test.registration.stop()


def test_where_there_is_none_ours_is_put(empty_server: FakeConfigServer) -> None:
    register(connect(empty_server.url))
    assert empty_server.raw == variant()
    assert empty_server.last_headers["PATH_INFO"] == f"/v1/schema/{KEY}"
    assert empty_server.last_headers["HTTP_IF_NONE_MATCH"] == "*"


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0"])
def test_an_older_one_of_ours_is_replaced(server: FakeConfigServer, version: str) -> None:
    server.put(variant(**{"$id": f"{NAME}{version}", "title": "older"}))
    register(connect(server.url))
    assert server.raw == variant()
    assert "HTTP_IF_MATCH" in server.last_headers


@pytest.mark.parametrize(
    "raw",
    [
        variant(),
        variant(**{"$id": f"{NAME}0.1.1"}),
        variant(**{"$id": f"{NAME}10.0.0"}),
        variant(**{"$id": "urn:somebody:else"}),
        b"{}",
        b"true",
        b"[" * 100_000,
        b"not JSON",
    ],
)
def test_any_other_stays(server: FakeConfigServer, raw: bytes) -> None:
    server.put(raw)
    register(connect(server.url))
    assert (server.raw, [method for method, _ in server.requests]) == (raw, ["GET"])


def test_who_comes_second_changes_nothing(empty_server: FakeConfigServer) -> None:
    empty_server.before_write = lambda: empty_server.put(b"{}")
    with pytest.raises(ConfigConflict):
        register(connect(empty_server.url))
    assert empty_server.raw == b"{}"


def test_a_config_server_without_schemas_is_a_failure_like_others(server: FakeConfigServer) -> None:
    server.mood = "stranger"
    with pytest.raises(ConfigServerError):
        register(connect(server.url))


def test_is_tried_until_it_succeeds_and_the_log_says_why_not_once(
    registering: Registering, empty_server: FakeConfigServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    empty_server.mood = "fail"
    registering.start()
    wait_until(lambda: len(empty_server.requests) > 3)
    empty_server.mood = "well"
    registering.gave(empty_server)
    assert caplog.text.count("answered 500: 'broken'") == 1


def test_each_config_server_gets_it_once(registering: Registering, empty_server: FakeConfigServer) -> None:
    registering.start()
    registering.gave(empty_server)
    with FakeConfigServer() as another:
        another.of = "schema"
        registering.server = another
        registering.gave(another)
        asked = len(empty_server.requests)
        another.put(None)
        registering.server = empty_server
        wait_until(lambda: len(empty_server.requests) > asked)
    assert another.raw is None  # who takes it away is not overruled before the next start


def test_a_fault_of_ours_does_not_end_it(empty_server: FakeConfigServer) -> None:
    faults = [RuntimeError("once")]

    def urls() -> str:
        return empty_server.url

    def broken_once(urls: str) -> ConfigClient:
        if faults:
            raise faults.pop()
        return connect(urls)

    registration = Registration(broken_once, urls, pause=0.01)
    registration.start()
    wait_until(lambda: empty_server.raw == variant())
    registration.stop()


def test_stops_at_once_while_the_config_server_hangs(
    registering: Registering, empty_server: FakeConfigServer
) -> None:
    empty_server.mood = "hang"
    registering.start()
    wait_until(lambda: empty_server.requests)
    registering.registration.stop()
    assert empty_server.raw is None
