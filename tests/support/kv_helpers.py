"""Stores, clients and servers of the config server, one line each in a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gevent.ssl import SSLContext
from werkzeug.test import Client, TestResponse

from kv.api import Api
from kv.engine.base import Engine, Limits
from kv.engine.etcd import EtcdEngine
from kv.engine.etcd.target import Target
from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.incoming import Bounds
from kv.model import Commit, Condition, Delete, Meta, Put
from kv.schema.examiner import Examiner
from kv.server import Server
from kv.store import Store
from kv.watch import Hub

MakeEngine = Callable[[str, Path, Limits | None], Engine]

PERIOD = 0.02  # seconds between two looks for keys whose time is up
ENGINES: dict[str, MakeEngine] = {
    "memory": lambda etcd, folder, limits: MemoryEngine(limits, period=PERIOD),
    "sqlite": lambda etcd, folder, limits: SqliteEngine(folder / "kv.db", limits, period=PERIOD),
    "etcd": lambda etcd, folder, limits: EtcdEngine(Target((etcd,), f"/{folder.name}"), limits),
}
"""By name, what makes one over an etcd (its URL; only that engine wants it) or a folder."""


@contextmanager
def opened(engine: Engine) -> Iterator[Engine]:
    engine.open()
    try:
        yield engine
    finally:
        engine.close()


def put(engine: Engine, key: str, value: bytes, *conditions: Condition, ttl: float | None = None) -> Commit:
    return engine.commit(conditions, [Put(key, value, ttl)], Meta())


def delete(engine: Engine, key: str) -> Commit:
    return engine.commit((), [Delete(key)], Meta())


@contextmanager
def serving_store(
    engine: Engine | None = None, hub: Hub | None = None, examiner: Examiner | None = None
) -> Iterator[Store]:
    store = Store(engine or MemoryEngine(), hub, examiner=examiner)
    store.start()
    try:
        yield store
    finally:
        store.stop()


@contextmanager
def serving(
    store: Store,
    bounds: Bounds | None = None,
    *,
    tls: Callable[[], SSLContext] | None = None,
    **options: Any,
) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Api(store, **options), bounds, tls)
    server.start()
    try:
        yield server
    finally:
        store.hub.release()
        server.stop()


def client(store: Store, names: Sequence[str] = (), **options: Any) -> Client:
    return Client(Api(store, names, **options))


def etag(response: TestResponse) -> str:
    """As it stands in the header, quotes included."""
    return response.headers["ETag"]


def problem(response: TestResponse) -> dict:
    """The problem document, checked for being one."""
    assert response.mimetype == "application/problem+json"
    document = json.loads(response.data)
    assert document["status"] == response.status_code
    return document


@contextmanager
def held(watchers: Callable[[], int], call: Callable[[], object]) -> Iterator[gevent.Greenlet]:
    """Inside the block `call` runs in a greenlet of its own and is waiting."""
    before = watchers()
    greenlet = gevent.spawn(call)
    try:
        with gevent.Timeout(5):
            while watchers() == before and not greenlet.ready():
                gevent.sleep(0)
        assert not greenlet.ready(), greenlet.value
        yield greenlet
    finally:
        greenlet.kill()
