from __future__ import annotations

import pytest

from tests.admin.instance import Instance


@pytest.fixture
def instance() -> Instance:
    return Instance()
