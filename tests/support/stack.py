"""Serin as its users run it: config server, proxy and two sample versions, each a real process.

    with Stack(tmp_path, front="worker", config={"ratio": 0.5}) as stack:
        stack.patch_config({"ratio": 0})
        assert stack.get("/").headers["X-Version"] == "stable"

Every file it makes is in the folder it is given; every port is free when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from requests import Response, Session

from tests.support.processes import Process, answers, fetch, free_port, python, wait_until

KEY = "canary/config"
GUNICORN = python("gunicorn", "--worker-class")
FRONTS: dict[str, list[str]] = {
    "fast_lane": python("app"),
    "worker": [*GUNICORN, "app.worker.Worker", "app.wsgi:application"],
    "stock": [*GUNICORN, "gevent", "app.wsgi:application"],
}
WORKERS = {"fast_lane": 1, "worker": 2, "stock": 2}


class Stack:
    """All the processes and how to talk to them: `kv`, `web`, `stable`, `canary` are each a `Process`.

    `workers`: of gunicorn, by default as WORKERS says.
    `config`: fields laid over a plain document of both samples, the first config of the service.
    `env`: added to the proxy's environment. `store`: the config server's, by default SQLite in the folder; `kv_env`:
    added to its environment.
    `start`: which processes the context manager starts; the four end with it, whoever started them.
    """

    def __init__(
        self,
        folder: Path,
        *,
        front: str = "fast_lane",
        workers: int | None = None,
        config: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        store: str | None = None,
        kv_env: Mapping[str, str] | None = None,
        start: tuple[str, ...] = ("stable", "canary", "kv", "web"),
    ) -> None:
        self.folder = folder
        self.port, self.admin_port, self.kv_port = free_port(), free_port(), free_port()
        self.stable_port, self.canary_port = free_port(), free_port()
        self.stable = self.sample("stable", self.stable_port)
        self.canary = self.sample("canary", self.canary_port)
        self.kv = self._config_server(store or f"sqlite:///{folder / 'kv.db'}", kv_env or {})
        self.config_file = folder / "canary.json"
        self.config_file.write_text(json.dumps({**self.plain_config(), **(config or {})}))
        self.web = self.proxy("web", front, self.port, self.admin_port, env, workers=workers)
        self._start = start
        self._operator = Session()
        self._operator.trust_env = False

    def __enter__(self) -> Self:
        with ExitStack() as exits:  # if one does not start, the others end here
            exits.push(self.__exit__)
            self._start_all()
            exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._operator.close()
        for process in (self.web, self.kv, self.stable, self.canary):
            process.__exit__(kind, error, trace)

    def _start_all(self) -> None:
        """The proxy last: it is to find everything else ready."""
        others: list[Process] = [getattr(self, name) for name in self._start if name != "web"]
        for process in others:
            process.start(wait=False)
        for process in others:
            process.wait_ready()
        if "web" in self._start:
            self.web.start()

    @property
    def url(self) -> str:
        """Where visitors come."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """The same, for raw sockets."""
        return "127.0.0.1", self.port

    @property
    def admin_url(self) -> str:
        """Where the proxy's operator looks."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def kv_url(self) -> str:
        """The config server."""
        return f"http://127.0.0.1:{self.kv_port}"

    @property
    def document_url(self) -> str:
        """The config document."""
        return f"{self.kv_url}/v1/kv/{KEY}"

    @property
    def schema_url(self) -> str:
        """Its schema, which the proxy brings."""
        return f"{self.kv_url}/v1/schema/{KEY}"

    def plain_config(self) -> dict[str, Any]:
        """A config document for the two samples, everything else at its default."""
        return {"style": "ratio", "ratio": 0.05, "config_server": self.kv_url, **self.plain_servers()}

    def plain_servers(self) -> dict[str, Any]:
        """The part of it that names the servers, one of each version."""
        return {
            "stable": {"servers": [{"url": f"http://127.0.0.1:{self.stable_port}"}]},
            "canary": {"servers": [{"url": f"http://127.0.0.1:{self.canary_port}"}]},
        }

    def put_config(self, document: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
        """Replaces the document (text as it is), and gives the config server's answer to the write."""
        data = document if isinstance(document, str | bytes) else json.dumps(document)
        return self._operate("PUT", self.document_url, data)

    def patch_config(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Merges the changes into the document (RFC 7396), and gives the answer to the write."""
        return self._operate("PATCH", self.document_url, json.dumps(changes))

    def document(self) -> dict[str, Any]:
        """The document as the config server has it."""
        return self._operate("GET", self.document_url)

    def status(self) -> dict[str, Any]:
        """What the proxy says of itself."""
        return self._operate("GET", f"{self.admin_url}/status")

    def wait_status(
        self, predicate: Callable[[dict[str, Any]], object], what: str, deadline: float = 10.0
    ) -> dict[str, Any]:
        """The first status that the predicate holds for."""

        def asked() -> dict[str, Any] | None:
            status = self.status()
            return status if predicate(status) else None

        status = wait_until(asked, deadline, what=what)
        assert status is not None
        return status

    def wait_in_force(self, etag: str, deadline: float = 10.0) -> None:
        """Until every worker of the proxy serves by the document with this ETag."""
        self.wait_status(
            lambda status: all(worker["etag"] == etag for worker in status["workers"]),
            f"{etag} in force",
            deadline,
        )

    def _operate(self, method: str, url: str, data: str | bytes | None = None) -> dict[str, Any]:
        response = self._operator.request(method, url, data=data, timeout=10)
        assert response.ok, f"{response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Response:
        """One request through the proxy, on a connection of its own."""
        return fetch("GET", self.url + path, headers=headers)

    def version(self, path: str = "/", headers: Mapping[str, str] | None = None) -> str:
        """Which version answers; AssertionError when none does."""
        response = self.get(path, headers)
        assert "X-Version" in response.headers, f"{response.status_code} {response.text}"
        return response.headers["X-Version"]

    def wait_version(self, version: str, deadline: float = 10.0) -> None:
        """Until a request is answered by this version."""
        wait_until(lambda: self.version() == version, deadline, what=f"an answer of {version}")

    def proxy(
        self,
        name: str,
        front: str,
        port: int,
        admin_port: int,
        env: Mapping[str, str] | None = None,
        *,
        workers: int | None = None,
    ) -> Process:
        """One more proxy of the same service, with state and log of its own; not started."""
        environment = {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ADMIN_HOST": "127.0.0.1",
            "ADMIN_PORT": str(admin_port),
            "CONFIG_SERVER": self.kv_url,
            "CONFIG_KEY": KEY,
            "CONFIG_FILE": str(self.config_file),
            "STATE_DIR": str(self.folder / name),
            **(env or {}),
        }
        count = workers or WORKERS[front]
        flags = [] if front == "fast_lane" else ["--bind", f"127.0.0.1:{port}", "--workers", str(count)]
        ready = self._all_ready(f"http://127.0.0.1:{admin_port}", count)
        return Process([*FRONTS[front], *flags], self._log(name), env=environment, ready=ready)

    @staticmethod
    def _all_ready(admin_url: str, workers: int) -> Callable[[], bool]:
        """A `ready` that waits for every worker: gunicorn's begin one by one."""

        def ready() -> bool:
            return is_ready() and len(fetch("GET", f"{admin_url}/status").json()["workers"]) == workers

        is_ready = answers(f"{admin_url}/readyz")
        return ready

    def sample(self, name: str, port: int) -> Process:
        """One more server of the version `name`; not started."""
        command = python("samples.version", "--name", name, "--port", str(port))
        return Process(command, self._log(f"{name}-{port}"), ready=answers(f"http://127.0.0.1:{port}/"))

    def _config_server(self, store: str, env: Mapping[str, str]) -> Process:
        environment = {
            "KV_HOST": "127.0.0.1",
            "KV_PORT": str(self.kv_port),
            "KV_STORE": store,
            **env,
        }
        ready = answers(f"{self.kv_url}/-/healthz")
        return Process(python("kv"), self._log("kv"), env=environment, ready=ready)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
