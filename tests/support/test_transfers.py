"""Transfers end when the last byte has arrived, and say so when it has not."""

from __future__ import annotations

import pytest

from tests.support.raw import RecordingServer
from tests.support.transfers import DIRECTIONS, MIB, Origin, Transfers


@pytest.fixture(scope="module")
def origin():
    with Origin(slow=0.05) as running:
        running.wait_ready()
        yield running


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_byte_arrives(origin, direction):
    with Transfers(("127.0.0.1", origin.port), direction, 3, 2 * MIB + 1, slow=0.05) as transfers:
        transfers.wait_ended()
    assert transfers.last == {"ended": 3, "bytes": 3 * (2 * MIB + 1), "failures": []}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_went_wrong_is_told(direction):
    with RecordingServer(None) as server, Transfers(server.address, direction, 2, 1) as transfers:
        transfers.wait_ended()
    assert (transfers.last["ended"], transfers.last["bytes"]) == (2, 0)
    assert all(text.startswith(("AssertionError", "Connection")) for text in transfers.last["failures"])
