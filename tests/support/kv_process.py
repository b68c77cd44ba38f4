"""`python -m kv` as a process on a port of its own choice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from tests.support.processes import Process, python

_LISTENING = re.compile(r"listening on (https?://\S+:\d+),")


class KvProcess(Process):
    """Over a SQLite file in `folder`, unless `env` says otherwise; ready when its log says where it listens.

    `shell` is run before it, in the shell that becomes the server: `ulimit`, for instance.
    """

    def __init__(self, folder: Path, *, shell: str = "", **env: str) -> None:
        settings = {
            "KV_HOST": "127.0.0.1",
            "KV_PORT": "0",
            "KV_STORE": f"sqlite:///{folder / 'kv.db'}",
            **env,
        }
        command = ["sh", "-c", f'{shell or ":"}; exec "$@"', "sh", *python("kv")]
        super().__init__(command, folder / "kv.log", env=settings, ready=self._listening)

    @property
    def url(self) -> str:
        """Where it listens."""
        found = self._listening()
        assert found, "not listening"
        return found[1]

    @property
    def address(self) -> tuple[str, int]:
        """The same, for a socket."""
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def _listening(self) -> re.Match[str] | None:
        return _LISTENING.search(self.log.read_text())

    def start(self, *, wait: bool = True) -> Self:
        """With a new log, so that an earlier start is not taken for this one."""
        self.log.unlink(missing_ok=True)
        return super().start(wait=wait)
