from __future__ import annotations

import pytest

from kv.engine.base import Limits
from tests.support.etcd import NEEDS_ETCD, etcd
from tests.support.kv_helpers import ENGINES, client, opened, serving_store


@pytest.fixture(scope="session")
def shared_etcd():
    """An etcd of one member; every test has a prefix of its own there."""
    with etcd() as (member,):
        yield member


@pytest.fixture(params=[pytest.param(name, marks=NEEDS_ETCD if name == "etcd" else ()) for name in ENGINES])
def engine_name(request):
    return request.param


@pytest.fixture
def make_engine(request, engine_name, tmp_path):
    """A function from limits to a new engine of each kind; where it lasts, always over the same data."""
    url = request.getfixturevalue("shared_etcd").url if engine_name == "etcd" else ""
    return lambda limits=None: ENGINES[engine_name](url, tmp_path, limits)


@pytest.fixture
def engine(make_engine):
    with opened(make_engine()) as engine:
        yield engine


@pytest.fixture
def base(engine):
    """The revision of the empty engine: etcd counts everybody's."""
    return engine.status()["revision"]


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
