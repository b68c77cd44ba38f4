"""One Serin to be ill-treated: nginx behind it for small answers, and an Origin for all below /large."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import SERIN, SERVERS, Site
from bench.proxy import PORTS, proxy, servers
from tests.support.crowd import FROM
from tests.support.processes import free_port
from tests.support.raw import Address
from tests.support.transfers import Origin

LARGE = replace(SERIN, config="large.json", env={**SERIN.env, "CONFIG_FILE": "@folder@/large.json"})


@dataclass(frozen=True, slots=True)
class Instance:
    """Where it listens, and its process id."""

    address: Address
    pid: int

    def files(self) -> int:
        """How many files it has open; cheap to ask."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def crowded(self) -> int:
        """How many connections with a Crowd it has not closed (an inode of 0: nobody's; proc(5), net/tcp).

        The kernel takes milliseconds for it, in which nothing else runs on this core.
        """
        host, port = self.address
        here = f"{_hexadecimal(host)}:{port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        sockets = [line.split() for line in lines if here in line]
        return sum(
            each[1] == here and each[2].startswith(_hexadecimal(FROM)) and each[9] != "0" for each in sockets
        )


def _hexadecimal(host: str) -> str:
    """As the kernel shows it: an integer of the machine's own byte order."""
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}"


@contextmanager
def instance(slow: float = 0.0) -> Iterator[Instance]:
    """Up, on one core; this process and all else that it starts inside share another.

    `slow`: so many seconds the Origin takes its time with each upload.
    """
    core, other = cores()
    with confined_to(other), tempfile.TemporaryDirectory() as name, Origin(slow) as origin:
        origin.wait_ready()
        ports = {port: free_port() for port in PORTS}
        folder = Path(name)
        with (
            servers(Site(ports, folder), other),
            proxy(LARGE, Site(ports | {"canary": origin.port}, folder), core, other) as pid,
        ):
            yield Instance(("127.0.0.1", ports["listen"]), pid)


@contextmanager
def confined_to(core: int) -> Iterator[None]:
    """This process, and those that it starts inside, have no other core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[int, int]:
    """The proxy's core and everybody else's. Raises SystemExit when there is but one, or no nginx."""
    free = sorted(os.sched_getaffinity(0))
    if len(free) < 2 or SERVERS.path() is None:
        raise SystemExit("the benchmark needs two cores and nginx")
    return free[0], free[1]
