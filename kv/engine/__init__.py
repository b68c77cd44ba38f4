"""The engines, and how a setting names one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kv.engine.base import Engine
from kv.engine.etcd import EtcdEngine
from kv.engine.etcd.target import target_from
from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.errors import BadSetting


def _memory(rest: str) -> Engine:
    if rest:
        raise BadSetting("memory:// takes nothing after it")
    return MemoryEngine()


def _sqlite(rest: str) -> Engine:
    if not rest.startswith("/") or rest.endswith("/"):
        raise BadSetting("a SQLite store is sqlite:///relative/path.db or sqlite:////absolute/path.db")
    return SqliteEngine(Path(rest[1:]))


def _etcd(rest: str) -> Engine:
    return EtcdEngine(target_from("http", rest))


def _etcds(rest: str) -> Engine:
    return EtcdEngine(target_from("https", rest))


ENGINES: dict[str, Callable[[str], Engine]] = {
    "etcd": _etcd,
    "etcds": _etcds,
    "memory": _memory,
    "sqlite": _sqlite,
}


def engine_from(url: str) -> Engine:
    """The engine, not yet open, that `url` names. Raises BadSetting."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in sorted(ENGINES))
        raise BadSetting(f"KV_STORE begins with {scheme!r}, which names no engine; known are {known}")
    return ENGINES[scheme](rest)
