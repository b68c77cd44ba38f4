from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.config.keys import KeyClient
from tests.support.keys import config_server, connected


@pytest.fixture
def url() -> Iterator[str]:
    with config_server() as found:
        yield found


@pytest.fixture
def keys(url: str) -> Iterator[KeyClient]:
    with connected(url) as client:
        yield client
