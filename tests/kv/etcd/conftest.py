from __future__ import annotations

from contextlib import ExitStack

import pytest

from kv.engine.etcd import EtcdEngine
from kv.engine.etcd.target import Target
from tests.support.kv_helpers import opened


@pytest.fixture
def prefix(tmp_path):
    return f"/{tmp_path.name}"


@pytest.fixture
def open_engine(prefix):
    """Opens one more engine over this URL, or these; all over the same data."""
    with ExitStack() as running:

        def open_engine(*urls, limits=None, **options):
            engine = EtcdEngine(Target(urls, prefix), limits, **options)
            return running.enter_context(opened(engine))

        yield open_engine
