from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config.instance import Instance
from tests.support.config_server import FakeConfigServer, document


@pytest.fixture
def server() -> Iterator[FakeConfigServer]:
    with FakeConfigServer(document()) as running:
        yield running


@pytest.fixture
def empty_server() -> Iterator[FakeConfigServer]:
    with FakeConfigServer() as running:
        yield running


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    under_test = Instance(tmp_path)
    yield under_test
    under_test.stop()
