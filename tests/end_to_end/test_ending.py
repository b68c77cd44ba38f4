"""SIGTERM: what is under way is finished, and the process ends well."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from tests.support.load import Load
from tests.support.processes import wait_until
from tests.support.stack import FRONTS, Stack

pytestmark = pytest.mark.end_to_end

# A client may send its next request at the very moment at which its idle connection is closed (RFC 9112, 9.5).
NOT_TAKEN = re.compile(
    r"ConnectionRefusedError.*|ConnectionError: closed after 0 bytes.*|ConnectionResetError.*"
)


@pytest.mark.parametrize("front", FRONTS)
def test_sigterm_under_load_ends_cleanly(front, tmp_path):
    with Stack(tmp_path, front=front, config={"ratio": 0.5}) as stack:
        slow = gevent.spawn(stack.get, "/?delay=1s")
        streamed = gevent.spawn(stack.get, "/?chunks=5&interval=200ms")
        with Load(stack.address, clients=32) as load:
            wait_until(lambda: busy(stack) >= 2, what="the slow requests under way")
            load.wait_requests(200)
            assert stack.web.terminate() == 0
        assert (slow.get(timeout=5).status_code, streamed.get(timeout=5).text.count("data:")) == (200, 5)
        assert [text for text in load.result.failures if not NOT_TAKEN.fullmatch(text)] == []
        assert set(load.result.statuses) == {"200"}
        assert "Traceback" not in stack.web.output()


def busy(stack):
    versions = stack.status()["versions"].values()
    return sum(server["in_flight"] for version in versions for server in version["servers"])


@pytest.mark.parametrize("front", ["worker", "stock"])
def test_a_reload_of_gunicorn_loses_no_request(front, tmp_path):
    """Whoever comes on a new connection is served, by an old worker or by a new one."""
    enough = Event()

    def visit(stack):
        while not enough.is_set():
            assert stack.get().status_code == 200

    with Stack(tmp_path, front=front, config={"ratio": 0.5}) as stack:
        visitors = [gevent.spawn(visit, stack) for _ in range(8)]
        before = workers(stack)
        stack.web.send(signal.SIGHUP)
        wait_until(lambda: replaced(before, stack), deadline=30, what="new workers")
        enough.set()
        gevent.joinall(visitors, raise_error=True)


def workers(stack):
    """The processes of gunicorn's workers."""
    return set(Path(f"/proc/{stack.web.pid}/task/{stack.web.pid}/children").read_text().split())


def replaced(before, stack):
    return len(workers(stack)) == len(before) and not workers(stack) & before
