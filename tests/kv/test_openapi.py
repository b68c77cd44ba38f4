"""The description of the interface, against the routes it is made from and the server it describes."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from kv.model import Meta
from kv.openapi import WORDS, description
from kv.routes import ROUTES
from tests.support.kv_helpers import serving_store


@pytest.fixture(scope="module")
def store():
    """One in which something is to be found, and nobody waits."""
    with serving_store() as store:
        for key in ("a", "b/a"):
            store.put(key, b"{}", (), Meta())
        store.hub.release()
        yield store


def operations():
    return [f"{method.upper()} {path}" for path, told in description()["paths"].items() for method in told]


def test_every_route_has_words_and_all_words_a_route():
    assert {rule.endpoint.call for rule in ROUTES} == set(WORDS)


def test_every_operation_has_a_name_of_its_own():
    names = [told["operationId"] for path in description()["paths"].values() for told in path.values()]
    assert len(set(names)) == len(names) == len(operations())


def test_is_served_to_anybody(http):
    response = http.get("/-/openapi.json")
    assert (response.status_code, response.json) == (200, description())


# schemathesis does not close answers, and that of a backup is a file: tests/kv/test_backup.py reads those.
@pytest.mark.parametrize("operation", [each for each in operations() if each != "GET /-/backup"])
def test_the_server_does_as_described(http, operation):
    """Some of all the requests that the description allows, made up by schemathesis, have an answer that it allows."""
    method, path = operation.split()
    described = schemathesis.openapi.from_wsgi("/-/openapi.json", http.application)[path][method]

    @given(described.as_strategy())
    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        # Whether a request succeeds is also a matter of what is stored, which no description knows.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    ask()
