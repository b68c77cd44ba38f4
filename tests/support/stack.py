"""Serin as its users run it: config server, proxy and two sample versions, each a real process.

    with Stack(tmp_path, front="worker", config={"ratio": 0.5}) as stack:
        stack.patch_config({"ratio": 0})
        assert stack.get("/").headers["X-Version"] == "stable"

Every file it makes is in the folder it is given; every port is free when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from requests import Response

from tests.support.processes import Process, answers, fetch, free_port, python, wait_until

KEY = "canary/config"
GUNICORN = python("gunicorn", "--worker-class")
FRONTS: dict[str, list[str]] = {
    "fast_lane": python("app"),
    "worker": [*GUNICORN, "app.worker.Worker", "--workers", "2", "app.wsgi:application"],
    "stock": [*GUNICORN, "gevent", "--workers", "2", "app.wsgi:application"],
}


class Stack:
    """All the processes and how to talk to them: `kv`, `web`, `stable`, `canary` are each a `Process`.

    `config`: fields laid over a plain document of both samples, the first config of the service.
    `env`: added to the proxy's environment. `start`: which processes the context manager starts, in order.
    """

    def __init__(
        self,
        folder: Path,
        *,
        front: str = "fast_lane",
        config: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        start: tuple[str, ...] = ("stable", "canary", "kv", "web"),
    ) -> None:
        self.folder = folder
        self.port, self.admin_port, self.kv_port = free_port(), free_port(), free_port()
        self.stable_port, self.canary_port = free_port(), free_port()
        self.stable = self._sample("stable", self.stable_port)
        self.canary = self._sample("canary", self.canary_port)
        self.kv = self._config_server()
        self.config_file = folder / "canary.json"
        self.config_file.write_text(json.dumps({**self.plain_config(), **(config or {})}))
        self.web = self.proxy("web", front, self.port, self.admin_port, env)
        self._start = start
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:  # if one does not start, those before it end here
            for name in self._start:
                exits.enter_context(self._ending(name))
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)
        for process in (self.web, self.kv, self.stable, self.canary):
            process.stop()  # those the test started itself

    def _ending(self, name: str) -> Process:
        process: Process = getattr(self, name)
        return process

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

    def plain_config(self) -> dict[str, Any]:
        """A config document for the two samples, everything else at its default."""
        return {
            "style": "ratio",
            "ratio": 0.05,
            "config_server": self.kv_url,
            "stable": {"servers": [{"url": f"http://127.0.0.1:{self.stable_port}"}]},
            "canary": {"servers": [{"url": f"http://127.0.0.1:{self.canary_port}"}]},
        }

    def put_config(self, document: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
        """Replaces the document (text as it is), and gives the config server's answer to the write."""
        data = document if isinstance(document, str | bytes) else json.dumps(document)
        return self._written(fetch("PUT", self.document_url, data=data))

    def patch_config(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Merges the changes into the document (RFC 7396), and gives the answer to the write."""
        return self._written(fetch("PATCH", self.document_url, data=json.dumps(changes)))

    def document(self) -> dict[str, Any]:
        """The document as the config server has it."""
        return self._written(fetch("GET", self.document_url))

    def status(self) -> dict[str, Any]:
        """What the proxy says of itself."""
        return self._written(fetch("GET", f"{self.admin_url}/status"))

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
        self, name: str, front: str, port: int, admin_port: int, env: Mapping[str, str] | None = None
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
        bind = [] if front == "fast_lane" else ["--bind", f"127.0.0.1:{port}"]
        ready = answers(f"http://127.0.0.1:{admin_port}/readyz")
        return Process([*FRONTS[front], *bind], self._log(name), env=environment, ready=ready)

    def _config_server(self) -> Process:
        environment = {
            "KV_HOST": "127.0.0.1",
            "KV_PORT": str(self.kv_port),
            "KV_STORE": f"sqlite:///{self.folder / 'kv.db'}",
        }
        ready = answers(f"{self.kv_url}/-/healthz")
        return Process(python("kv"), self._log("kv"), env=environment, ready=ready)

    def _sample(self, name: str, port: int) -> Process:
        command = python("samples.version", "--name", name, "--port", str(port))
        return Process(command, self._log(name), ready=answers(f"http://127.0.0.1:{port}/"))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    @staticmethod
    def _written(response: Response) -> dict[str, Any]:
        assert response.ok, f"{response.status_code} {response.text}"
        answer: dict[str, Any] = response.json()
        return answer
