"""Real etcd members on the loopback: one or three, started, stopped, killed, frozen and cut off from each other.

Data is in memory (/dev/shm) where there is such a place: nobody pulls the plug of a test.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Process, answers, fetch, free_port

INSTALLED = shutil.which("etcd") is not None
NEEDS_ETCD = pytest.mark.skipif(not INSTALLED, reason="etcd is not installed")


class Member(Process):
    """One member; `url` is where clients come, `peer` where the other members come."""

    def __init__(self, folder: Path, name: str, *flags: str) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{free_port()}"
        self.peer = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._flags = flags
        super().__init__([], folder / f"{name}.log", ready=answers(f"{self.url}/health"))

    def join(self, members: Sequence[Member]) -> None:
        """Make it one of these, itself included; before its first start."""
        flags = {
            "name": self.name,
            "data-dir": str(self._folder / self.name),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": self.peer,
            "initial-advertise-peer-urls": self.peer,
            "initial-cluster": ",".join(f"{member.name}={member.peer}" for member in members),
            "heartbeat-interval": "20",
            "election-timeout": "200",
            "logger": "zap",
            "log-level": "error",
        }
        self.command = ["etcd", *(f"--{name}={value}" for name, value in flags.items()), *self._flags]

    def ask(self, path: str, message: dict[str, Any] | None = None) -> dict[str, Any]:
        """The gateway's answer."""
        response = fetch("POST", self.url + path, json=message or {})
        assert response.ok, response.text
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def etcd(count: int = 1, *flags: str) -> Iterator[list[Member]]:
    """So many members of one cluster, all ready inside, all gone after."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="etcd-", dir=place) as folder, ExitStack() as running:
        members = [Member(Path(folder), f"m{number}", *flags) for number in range(count)]
        for member in members:
            running.callback(member.stop)
            member.join(members)
            member.start(wait=False)
        for member in members:
            member.wait_ready()
        yield members
