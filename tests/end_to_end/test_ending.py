"""SIGTERM: what is under way is finished, and the process ends well."""

from __future__ import annotations

import re

import gevent
import pytest

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
