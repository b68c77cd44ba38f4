"""A real config server in this process, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.config.keys import KeyClient, Write
from tests.support.kv_helpers import serving, serving_store

CONFIG: dict[str, Any] = {
    "ratio": 0.1,
    "stable": {"servers": [{"url": "http://127.0.0.1:9001"}]},
    "canary": {"servers": [{"url": "http://127.0.0.1:9002"}]},
}


@contextmanager
def config_server() -> Iterator[str]:
    """The URL of an empty one, in memory."""
    with serving_store() as store, serving(store) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def connected(url: str) -> Iterator[KeyClient]:
    client = KeyClient(url)
    try:
        yield client
    finally:
        client.close()


def put(keys: KeyClient, key: str, value: Any, **how: Any) -> str:
    """Store a value; its ETag."""
    return keys.put(key, json.dumps(value).encode(), Write(**how)).etag


def reported(**changes: Any) -> dict[str, Any]:
    """What an instance may report; `changes` are of its config: etag, revision, rejected, draining."""
    version = {
        "answered": [0] * 10,
        "failures": {},
        "aborts": 0,
        "buckets": [0] * 38,
        "nanoseconds": 0,
        "spared": {},
    }
    worker = {"pid": 7, "since": 0.0, "etag": None, "revision": None, "trouble": None, "draining": False}
    return {
        "serin": "0.1.0",
        "host": "here",
        "admin": None,
        "rejected": changes.pop("rejected", None),
        "since": 0.0,
        "counters": {"versions": {"stable": version, "canary": version}, "servers": {}},
        "gauges": {"connections": 0, "waiting": 0, "out": {}, "servers": {}},
        "workers": [worker | changes],
    }
