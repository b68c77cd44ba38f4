"""Which versions of etcd are fit to hold a store. Pure."""

from __future__ import annotations

import re

from kv.errors import CannotStart

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_OLDEST = (3, 4, 0)  # the gateway is under /v3 from here on, and watches come in fragments
# Members may hold different data after a crash: https://github.com/etcd-io/etcd/issues/13766
_CORRUPTING = ((3, 5, 0), (3, 5, 2))
_ADVISED = (3, 4, 42)


def check(version: str) -> None:
    """Raises CannotStart for one that must not be used."""
    parts = _parts(version)
    if parts < _OLDEST:
        raise CannotStart(f"etcd {version} is too old: 3.4 or later is needed")
    if _CORRUPTING[0] <= parts <= _CORRUPTING[1]:
        raise CannotStart(f"etcd {version} can lose data when it is killed: 3.5.3 or later is needed")


def warnings(version: str) -> list[str]:
    """What an operator should know of one that may be used."""
    if _parts(version) < _ADVISED:
        return [f"etcd {version} has known faults that 3.4.42 has not"]
    return []


def _parts(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    if found is None:
        raise CannotStart(f"{version[:20]!r} is no version of etcd")
    return tuple(map(int, found.groups()))
