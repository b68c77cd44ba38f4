"""Real etcd members on the loopback: one or three, started, stopped, killed, frozen and cut off from each other.

Data is in memory (/dev/shm) where there is such a place: nobody pulls the plug of a test.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from requests import RequestException

from tests.support.line import Line
from tests.support.processes import Process, answers, fetch, free_port, wait_until

INSTALLED = shutil.which("etcd") is not None
NEEDS_ETCD = pytest.mark.skipif(not INSTALLED, reason="etcd is not installed")


class Member(Process):
    """One member; `url` is where clients come, `peer` where the other members come."""

    def __init__(self, folder: Path, name: str, line: Line | None, flags: Mapping[str, str]) -> None:
        self.name = name
        self.url = f"{'https' if 'cert-file' in flags else 'http'}://127.0.0.1:{free_port()}"
        self.line = line
        self._listening = f"http://127.0.0.1:{line.target if line else free_port()}"
        self.peer = line.url if line else self._listening
        self._data = folder / name
        metrics = f"http://127.0.0.1:{free_port()}"
        self._flags = {**flags, "listen-metrics-urls": metrics}
        super().__init__([], folder / f"{name}.log", ready=answers(f"{metrics}/health"))

    def join(self, members: Sequence[Member]) -> None:
        """Make it one of these, itself included; before its first start."""
        flags = {
            "name": self.name,
            "data-dir": str(self._data),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": self._listening,
            "initial-advertise-peer-urls": self.peer,
            "initial-cluster": ",".join(f"{member.name}={member.peer}" for member in members),
            "heartbeat-interval": "50",
            "election-timeout": "500",
            "logger": "zap",
            "log-level": "error",
            **self._flags,
        }
        self.command = ["etcd", *(f"--{name}={value}" for name, value in flags.items())]

    @property
    def id(self) -> str:
        """As the members call it among themselves."""
        return f"{int(self.ask('/v3/maintenance/status')['header']['member_id']):x}"

    def ask(
        self, path: str, message: Mapping[str, Any] | None = None, timeout: float = 10.0
    ) -> dict[str, Any]:
        """The gateway's answer."""
        response = fetch("POST", self.url + path, json=message or {}, timeout=timeout)
        assert response.ok, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def put(self, key: str, value: str) -> None:
        """As etcdctl would."""
        self.ask("/v3/kv/put", {"key": coded(key), "value": coded(value)})

    def delete(self, key: str) -> None:
        """As etcdctl would."""
        self.ask("/v3/kv/deleterange", {"key": coded(key)})

    @property
    def revision(self) -> int:
        """Of the last change of anything."""
        return int(self.ask("/v3/kv/range", {"key": coded("-")})["header"]["revision"])

    def compact(self) -> None:
        """Forget all that is not the present."""
        self.ask("/v3/kv/compaction", {"revision": str(self.revision), "physical": True})

    def freeze(self) -> None:
        """It stands still, and its connections stay open."""
        self.send(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        wait_until(
            lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="all of it stands still"
        )

    def thaw(self) -> None:
        """It goes on, and finds that it is later."""
        self.send(signal.SIGCONT)

    def forget(self) -> None:
        """Its data is gone; while it does not run."""
        assert not self.running
        shutil.rmtree(self._data)

    def leads(self) -> bool:
        """Whether it holds itself for the leader."""
        with suppress(RequestException, AssertionError):
            status = self.ask("/v3/maintenance/status", timeout=0.5)
            return bool(status.get("leader") == status["header"]["member_id"])
        return False


class Cluster(list[Member]):
    """The members."""

    @property
    def store(self) -> str:
        """Where they are, as KV_STORE has it, up to the prefix."""
        return "etcd://" + ",".join(member.url.removeprefix("http://") for member in self)

    def leader(self) -> Member:
        """The one that leads, once there is one."""
        return wait_until(lambda: next(filter(Member.leads, self), None), what="a leader")

    def divide(self, *alone: Member) -> None:
        """Nothing passes between these and the others, and nobody is told; clients reach all of them.

        With nobody alone everything passes again.
        """
        ids = {member.name: member.id for member in self}
        for member in self:
            assert member.line is not None
            member.line.hold(*(ids[other.name] for other in self if (other in alone) != (member in alone)))


@contextmanager
def etcd(count: int = 1, **flags: str) -> Iterator[Cluster]:
    """So many members of one cluster, all ready inside, all gone after. `flags`: etcd's own, with underscores."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    named = {name.replace("_", "-"): value for name, value in flags.items()}
    with tempfile.TemporaryDirectory(prefix="etcd-", dir=place) as folder, ExitStack() as running:
        lines = [running.enter_context(Line()) if count > 1 else None for _ in range(count)]
        members = Cluster(
            Member(Path(folder), f"m{number}", line, named) for number, line in enumerate(lines)
        )
        for member in members:
            member.join(members)
            member.start(wait=False)
            running.callback(member.kill9)
        for member in members:
            member.wait_ready()
        yield members


def coded(text: str) -> str:
    """As the gateway wants it."""
    return b64encode(text.encode()).decode()
