"""Documents that are wrong or gone: traffic is not touched, the reason is shown, and mending is enough."""

from __future__ import annotations

import json

import pytest

from tests.support.config_server import FakeConfigServer
from tests.support.load import Load
from tests.support.processes import answers, fetch, wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

TEN_MEGABYTES = b'"' + b"x" * 10_000_000 + b'"'


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("stack"), config={"ratio": 0, "update_rate": 0.2}) as stack:
        yield stack


@pytest.fixture
def good(stack):
    """The first config in force again, as it should be after every test."""
    document = {**stack.plain_config(), "ratio": 0, "update_rate": 0.2}
    stack.wait_in_force(stack.put_config(document)["etag"])
    return document


@pytest.fixture
def traffic(stack, good):
    """Runs throughout; at the end nothing is lost, and all of it went where the good config says."""
    with Load(stack.address, clients=8, pause=0.01) as load:
        yield load
        load.wait_requests(16)
    assert load.result.failures == []
    assert load.result.versions == {"stable": load.result.requests}


WRONG = {
    "ratio": ({"ratio": 7}, "ratio", "from 0 to 1"),
    "style": ({"style": "ratoi"}, "style", '"least_connections"'),
    "list": ([], "", "must be an object"),
    "unknown": ({"rato": 0.5}, "rato", 'did you mean "ratio"'),
}


@pytest.fixture
def schema(stack):
    """In force, as the proxy has brought it."""
    wait_until(answers(stack.schema_url), what="the schema")
    return fetch("GET", stack.schema_url).content


@pytest.fixture
def no_schema(stack, schema):
    """As with another config server, or a token that may not write it."""
    assert fetch("DELETE", stack.schema_url).ok
    yield
    assert fetch("PUT", stack.schema_url, data=schema).ok


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_document_is_not_stored_and_the_answer_says_why(stack, good, schema, wrong):
    change, field, reason = wrong
    before = stack.document()
    answer = fetch("PUT", stack.document_url, data=json.dumps({**good, **change} if change else change))
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], reason in fault["detail"]) == (f"/{field}" if field else "", True), fault
    assert stack.document() == before


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_document_that_was_stored_is_not_put_in_force(stack, good, no_schema, traffic, wrong):
    change, field, reason = wrong
    etag = stack.put_config(json.dumps({**good, **change} if change else change))["etag"]
    rejected = stack.wait_status(lambda status: status["config"]["rejected"], "the rejection")["config"]
    assert rejected["rejected"]["etag"] == etag != rejected["etag"]
    assert reason in rejected["rejected"]["faults"][field]
    assert f"config document {etag} rejected: " in stack.web.output()
    traffic.wait_requests(16)
    mended = stack.put_config(json.dumps(good, indent=2))
    stack.wait_in_force(mended["etag"])
    assert stack.status()["config"]["rejected"] is None


def test_a_schema_of_somebody_else_outlives_the_proxy(tmp_path):
    with Stack(tmp_path) as stack:
        wait_until(answers(stack.schema_url), what="the schema")
        assert fetch("PUT", stack.schema_url, data=b'{"properties": {"ratio": {"maximum": 0.5}}}').ok
        assert stack.web.terminate() == 0
        stack.web.start()
        assert fetch("PATCH", stack.document_url, data=b'{"ratio": 0.6}').status_code == 422
        stack.wait_in_force(stack.patch_config({"ratio": 0.4})["etag"])


@pytest.mark.parametrize(
    ("raw", "status"), [(b'{"ratio": ', 400), (TEN_MEGABYTES, 413)], ids=["cut", "10 MB"]
)
def test_the_config_server_does_not_take_what_is_no_document(stack, good, traffic, raw, status):
    before = stack.document()
    answer = fetch("PUT", stack.document_url, data=raw)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert stack.document() == before


def test_a_deleted_document_stays_in_force_and_status_says_so(stack, good, traffic):
    in_force = stack.status()["config"]["etag"]
    assert fetch("DELETE", stack.document_url).ok
    config = stack.wait_status(lambda status: status["config"]["missing"], "the loss")["config"]
    assert config["etag"] == in_force
    assert "the config server has no document under the key" in stack.web.output()
    traffic.wait_requests(16)
    stack.wait_in_force(stack.put_config(good)["etag"])
    assert stack.status()["config"]["missing"] is False


def test_a_proxy_that_starts_after_the_deletion_serves_the_last_good_one(tmp_path):
    with Stack(tmp_path, config={"ratio": 1}) as stack:
        in_force = stack.status()["config"]["etag"]
        assert fetch("DELETE", stack.document_url).ok
        stack.wait_status(lambda status: status["config"]["missing"], "the loss")
        assert stack.web.terminate() == 0
        stack.web.start()
        config = stack.status()["config"]
        assert (config["etag"], config["source"], config["missing"]) == (in_force, "last_good", True)
        assert stack.version() == "canary"
        assert fetch("GET", stack.document_url).status_code == 404


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"not JSON", "is not JSON"),
        (TEN_MEGABYTES, "more than 1,048,576 bytes"),
        (b"[" * 100_000, "is not JSON"),
    ],
    ids=["not JSON", "10 MB", "deep"],
)
def test_a_config_server_without_rules_cannot_harm_the_proxy(tmp_path, raw, reason):
    with FakeConfigServer() as server:
        stack = Stack(
            tmp_path,
            config={"config_server": server.url, "update_rate": 0.1, "ratio": 0},
            env={"CONFIG_SERVER": server.url},
            start=("stable", "canary", "web"),
        )
        with stack:
            good = server.raw
            server.put(raw)
            complaint = stack.wait_status(complains, "the reason")["config"]
            assert reason in (complaint["error"] or complaint["rejected"]["faults"][""])
            assert stack.version() == "stable"
            server.put(good)
            stack.wait_in_force(server.etag)
            assert stack.version() == "stable"
            wait_until(lambda: reason in stack.web.output(), what="the reason in the log")


def complains(status):
    return status["config"]["error"] or status["config"]["rejected"]
