"""The config server may go and come: the proxy serves on, and is in step again soon after."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.load import Load
from tests.support.processes import answers, fetch, wait_until
from tests.support.relay import Relay
from tests.support.stack import FRONTS, Stack

pytestmark = pytest.mark.end_to_end

# Seconds from the config server's return until every proxy is in step.
IN_STEP = 3.0

PROXIES = 4


@pytest.mark.parametrize("front", FRONTS)
def test_killed_under_load_it_costs_no_request_and_is_heeded_again_at_once(front, tmp_path):
    with Stack(tmp_path, front=front, config={"ratio": 0, "update_rate": "1h"}) as stack:
        with Load(stack.address, clients=32, pause=0.02) as load:
            stack.kv.kill9()
            stack.wait_status(troubled, "the trouble")
            load.wait_requests(500)
            stack.kv.start()
            stack.wait_in_force(stack.patch_config({"ratio": 1})["etag"], IN_STEP)
            load.wait_requests(100)
        assert load.result.failures == []
        assert set(load.result.versions) == {"stable", "canary"}


def troubled(status):
    return all(worker["trouble"] for worker in status["workers"])


def test_a_proxy_started_meanwhile_serves_the_last_good_config(tmp_path):
    with Stack(tmp_path, config={"ratio": 0}) as stack:
        stack.wait_in_force(stack.patch_config({"ratio": 1})["etag"])
        stack.kv.kill9()
        assert stack.web.terminate() == 0
        stack.web.start()
        assert stack.status()["config"]["source"] == "last_good"
        assert stack.version() == "canary"
        stack.kv.start()
        stack.wait_in_force(stack.patch_config({"ratio": 0})["etag"], IN_STEP)
        assert stack.version() == "stable"


def test_one_that_has_never_seen_a_config_serves_its_first_and_creates_it_later(tmp_path):
    with Stack(tmp_path, config={"ratio": 1}, start=("stable", "canary", "web")) as stack:
        assert stack.status()["config"]["source"] == "file"
        assert stack.version() == "canary"
        stack.kv.start()
        stack.wait_status(
            lambda status: status["config"]["source"] == "config_server", "the creation", IN_STEP
        )
        assert stack.document()["ratio"] == 1


def test_proxies_started_at_once_create_the_document_once(tmp_path):
    """All of them find no document, and all then write theirs, before the first write arrives."""
    with Stack(tmp_path, start=("kv",)) as first, Relay(gather=PROXIES) as relay, ExitStack() as exits:
        relay.target = ("127.0.0.1", first.kv_port)
        proxies = [exits.enter_context(proxy_behind(relay, tmp_path, number)) for number in range(PROXIES)]
        for proxy in proxies:
            proxy.web.start(wait=False)
        for proxy in proxies:
            proxy.web.wait_ready()
        wait_until(answers(first.document_url), what="the document")
        (created,) = fetch("GET", f"{first.document_url}?history=10").json()["versions"]
        assert created["revision"] == 1
        for proxy in proxies:
            proxy.wait_in_force(created["etag"])
        assert relay.writes >= PROXIES


def proxy_behind(relay, parent, number):
    """A proxy with a first config of its own; not started."""
    folder = parent / str(number)
    folder.mkdir()
    config = {"ratio": number / 10, "config_server": relay.url}
    return Stack(folder, config=config, env={"CONFIG_SERVER": relay.url}, start=())
