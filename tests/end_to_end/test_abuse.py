"""Clients who are slow on purpose: others do not notice, and what the slow ones held is free again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.crowd import Crowd
from tests.support.load import Load
from tests.support.processes import fetch, wait_until
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

MIB = 2**20
IMPATIENT = {"client_head": "1s", "body_rate": 65536}


def figures(stack, name):
    """The samples of one metric by the values of their labels, joined by a comma."""
    families = text_string_to_metric_families(fetch("GET", f"{stack.admin_url}/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {",".join(sample.labels.values()): sample.value for sample in samples}


def files(stack):
    """How many files the proxy has open."""
    return len(list(Path(f"/proc/{stack.web.pid}/fd").iterdir()))


def test_slow_clients_are_sent_away_and_nobody_else_notices(tmp_path):
    with Stack(tmp_path, config={"ratio": 0, "timeouts": IMPATIENT}) as stack, ExitStack() as crowds:
        assert stack.version() == "stable"
        before = files(stack)
        with Load(stack.address, clients=8, pause=0.02) as load:
            heads, bodies, readers = (
                crowds.enter_context(Crowd(stack.address, kind, count, path))
                for kind, count, path in (
                    ("slow_heads", 300, "/"),
                    ("slow_bodies", 50, "/upload"),
                    ("slow_readers", 50, f"/?size={10 * MIB}"),
                )
            )
            for crowd in (heads, bodies, readers):
                crowd.wait_arrived()
            load.wait_requests(100)
            wait_until(lambda: figures(stack, "serin_connections") == {"": 8}, 20, what="8 connections left")
        assert heads.stop()["statuses"] == {"408": 300}
        assert bodies.stop()["statuses"] == {"408": 50}
        assert figures(stack, "serin_refused_total") == {"head_timeout": 300, "body_timeout": 50}
        assert figures(stack, "serin_client_aborts_total")["stable"] == 100
        assert load.result.failures == []
        assert load.result.versions == {"stable": load.result.requests}
        wait_until(lambda: files(stack) <= before + 8, what="files closed")  # warm connections to the server
        assert "Traceback" not in stack.web.output()


def test_one_connection_too_many_is_told_so(tmp_path):
    with Stack(tmp_path, config={"ratio": 0, "limits": {"connections": 50}}) as stack:
        with Crowd(stack.address, "idle", 50) as crowd:
            crowd.wait_arrived()
            answer = stack.get()
            assert (answer.status_code, "too_many_connections" in answer.text) == (503, True)
            assert answer.headers["Connection"] == "close"
            assert figures(stack, "serin_refused_total") == {"too_many_connections": 1}
        assert crowd.last == {"arrived": 50, "gone": 0, "statuses": {"200": 50}}
        wait_until(lambda: stack.get().ok, what="room for others")
