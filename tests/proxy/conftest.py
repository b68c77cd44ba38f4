from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.certificate import Certificate
from tests.support.tls import issue, write_authority


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


@pytest.fixture(scope="package")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="package")
def certificate(tls_folder: Path) -> Certificate:
    """For a front that is called localhost or 127.0.0.1."""
    return Certificate(*issue(tls_folder))


@pytest.fixture(scope="package")
def ca(tls_folder: Path) -> str:
    """The path of a file with the authority of all certificates in the tests."""
    return write_authority(tls_folder)
