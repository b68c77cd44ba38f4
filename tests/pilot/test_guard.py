from __future__ import annotations

import pytest
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from app.pilot.guard import guard, is_loopback


def asked(method: str = "POST", host: str = "127.0.0.1:8090", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(EnvironBuilder(method=method, headers={"Host": host, **named}).get_environ())


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost", "[::1]:8090", "pilot.internal"])
def test_known_hosts_may_ask(host: str) -> None:
    guard(asked(host=host), None, {"pilot.internal"})


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "a b"])
def test_a_name_that_is_not_ours_may_not(host: str) -> None:
    with pytest.raises(Forbidden):
        guard(asked("GET", host), None)


def test_a_page_of_another_site_may_write_nothing() -> None:
    guard(asked(Origin="http://127.0.0.1:8090"), None)
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        with pytest.raises(Forbidden):
            guard(asked(Origin=origin), None)


def test_a_write_needs_the_token() -> None:
    guard(asked("GET"), "secret")
    guard(asked(Authorization="Bearer secret"), "secret")
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        with pytest.raises(Unauthorized):
            guard(asked(**given), "secret")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
