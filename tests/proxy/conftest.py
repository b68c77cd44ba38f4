from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_breaks(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test of the proxy may leave a traceback on stderr or an error in the log."""
    yield
    assert "Traceback" not in capfd.readouterr().err
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture(params=["fast_lane", "wsgi"])
def front(request: pytest.FixtureRequest) -> str:
    """Each of the two fronts."""
    return request.param
