"""The stores of bench.kv: how each is started, and how it is asked to read, write and watch.

Each has one core, and keeps on disk what it has acknowledged; Serin on etcd shares its core with that etcd. The
requests are as store.lua wants them.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from bench.peers import SEARCHED
from tests.support.kv_process import KvProcess
from tests.support.processes import Process, answers, free_port
from tests.support.raw import Address

SIZE = 1024
KEY = "9999"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; `etag` as in If-None-Match, `accept` as in Accept."""

    method: str
    path: str
    body: str = ""
    etag: str = ""
    accept: str = ""

    def raw(self, stamp: str = "") -> bytes:
        """As bytes, for one key, with this stamp of 16 digits."""
        body = self.body.replace("@KEY@", KEY).replace("@STAMP@", stamp)
        lines = [f"{self.method} {self.path.replace('@KEY@', KEY)} HTTP/1.1", "Host: localhost"]
        lines += [f"If-None-Match: {self.etag}"] if self.etag else []
        lines += [f"Accept: {self.accept}"] if self.accept else []
        lines += [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", body]).encode()


Running = tuple[Sequence[int], Address]


@dataclass(frozen=True, slots=True)
class Store:
    """One of them. `running(folder, core)`: up inside; the ids of its processes and where it listens.

    `requests`: what it can be asked, by name. `watched`: the sign of a stream that it watches.
    """

    name: str
    program: str
    running: Callable[[Path, int], AbstractContextManager[Running]]
    requests: Mapping[str, Request]
    watched: bytes

    def missing(self) -> bool:
        """Whether the program is not installed."""
        return which(self.program, path=SEARCHED) is None


@contextmanager
def _serin_on_sqlite(folder: Path, core: int) -> Iterator[Running]:
    with _serin(folder, core, f"sqlite:///{folder / 'kv.db'}") as process:
        yield [process.pid], process.address


@contextmanager
def _serin_on_etcd(folder: Path, core: int) -> Iterator[Running]:
    with (
        _etcd(folder, core) as (beneath, (host, port)),
        _serin(folder, core, f"etcd://{host}:{port}") as process,
    ):
        yield [process.pid, *beneath], process.address


@contextmanager
def _serin(folder: Path, core: int, store: str) -> Iterator[KvProcess]:
    with KvProcess(folder, KV_STORE=store) as process:
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
        yield process


@contextmanager
def _etcd(folder: Path, core: int) -> Iterator[Running]:
    port, peer = free_port(), f"http://127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{port}"
    flags = {
        "data-dir": str(folder / "etcd"),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-level": "error",
    }
    command = ["taskset", "--cpu-list", str(core), which("etcd", path=SEARCHED) or "etcd"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    env = {"GOMAXPROCS": "1"}
    with Process(command, folder / "etcd.log", env=env, ready=answers(f"{url}/health")) as process:
        yield [process.pid], ("127.0.0.1", port)


def _code(text: str) -> str:
    """Base64, as etcd's gateway wants it. Digits of a mark are code already: whoever fills it in need not encode."""
    assert len(text) % 3 == 0
    return b64encode(text.encode()).decode()


def _serin_requests() -> dict[str, Request]:
    key, filler = "/v1/kv/bench/@KEY@", "x" * SIZE
    return {
        "read": Request("GET", key.replace("@KEY@", KEY)),
        "write": Request("PUT", key, f'{{"stamp": "@STAMP@", "filler": "{filler}"}}'),
        "watch": Request("GET", key, accept="text/event-stream"),
    }


def _etcd_requests() -> dict[str, Request]:
    key, filler = f"{_code('bench/')}@KEY@", _code("x" * (SIZE - SIZE % 3))
    return {
        "read": Request("POST", "/v3/kv/range", json.dumps({"key": key.replace("@KEY@", KEY)})),
        "write": Request("POST", "/v3/kv/put", json.dumps({"key": key, "value": f"@STAMP@{filler}"})),
        "watch": Request("POST", "/v3/watch", json.dumps({"create_request": {"key": key}})),
    }


ETCD = Store("etcd", "etcd", _etcd, _etcd_requests(), b'"created":true')
SERIN = Store("Serin on SQLite", "python3", _serin_on_sqlite, _serin_requests(), b"retry: ")
SERIN_ON_ETCD = Store("Serin on etcd", "etcd", _serin_on_etcd, _serin_requests(), b"retry: ")
STORES = (SERIN, SERIN_ON_ETCD, ETCD)
