"""Which etcd may hold a store."""

from __future__ import annotations

import pytest

from kv.engine.etcd import versions
from kv.errors import CannotStart


@pytest.mark.parametrize(
    ("version", "warned"),
    [
        ("3.4.0", True),
        ("3.4.23", True),
        ("3.4.42", False),
        ("3.5.3", False),
        ("3.6.0-rc.1", False),
        ("4.0.0", False),
    ],
)
def test_fit(version, warned):
    versions.check(version)
    assert bool(versions.warnings(version)) == warned


@pytest.mark.parametrize("version", ["3.3.27", "2.3.8", "3.5.0", "3.5.1", "3.5.2", "", "nginx", "3.4"])
def test_unfit(version):
    with pytest.raises(CannotStart):
        versions.check(version)
