from __future__ import annotations

import pytest

from kv.engine.base import Limits
from tests.support.kv_helpers import ENGINES, client, opened, serving_store


@pytest.fixture(params=ENGINES)
def make_engine(request, tmp_path):
    """A function from limits to a new engine of each kind; of sqlite always over the same file."""
    return lambda limits=None: ENGINES[request.param](tmp_path, limits)


@pytest.fixture
def engine(make_engine):
    with opened(make_engine()) as engine:
        yield engine


@pytest.fixture
def small(make_engine):
    """Holds 3 keys of 10 bytes, 4 versions of each."""
    with opened(make_engine(Limits(value_bytes=10, keys=3, versions=4))) as engine:
        yield engine


@pytest.fixture
def store():
    with serving_store() as store:
        yield store


@pytest.fixture
def http(store):
    return client(store)
