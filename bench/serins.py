"""Any number of Serins that watch one config server, each a process of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

from bench.peers import Site
from tests.support.kv_process import KvProcess
from tests.support.processes import PYTHON, Process
from tests.support.raw import Address

CONFIG = "change_serin.json"
# They start so many at a time: each needs the better part of a second of CPU time.
ABREAST = 4
SERVING = re.compile(r"serving on http://\S+:(\d+)")
IN_FORCE = re.compile(r"^(\S+ \S+) INFO app\.config\.current: config \S+ in force", re.MULTILINE)


class Serin(Process):
    """One instance on these cores, on a port of its own choice, with its own state and log."""

    def __init__(self, number: int, site: Site, cores: tuple[int, ...]) -> None:
        env = {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "ADMIN_PORT": "0",
            "CONFIG_SERVER": site.fill("http://127.0.0.1:@kv@"),
            "CONFIG_FILE": str(site.folder / CONFIG),
            "STATE_DIR": str(site.folder / f"state-{number}"),
        }
        command = ["taskset", "--cpu-list", ",".join(map(str, cores)), PYTHON, "-m", "app"]
        log = site.folder / f"serin-{number}.log"
        super().__init__(command, log, env=env, ready=self._serving, deadline=30)

    @property
    def address(self) -> Address:
        """Where it serves."""
        found = self._serving()
        assert found, "not serving"
        return "127.0.0.1", int(found[1])

    def _serving(self) -> re.Match[str] | None:
        return SERVING.search(self.output())


@contextmanager
def serins(count: int, site: Site, cores: tuple[int, ...]) -> Iterator[list[Address]]:
    """The config server and its instances, all on the first config; one address for each instance."""
    site.lay(CONFIG)
    instances = [Serin(number, site, cores) for number in range(count)]
    with KvProcess(site.folder, KV_PORT=str(site.ports["kv"])), ExitStack() as stack:
        stack.callback(end, instances)
        for first in range(0, count, ABREAST):
            begin(instances[first : first + ABREAST])
        yield [instance.address for instance in instances]


def in_force_since(site: Site) -> list[float]:
    """When each instance put its present config in force, in Unix time: by its log, to the millisecond."""
    logs = [log.read_text() for log in site.folder.glob("serin-*.log")]
    return [datetime.fromisoformat(IN_FORCE.findall(log)[-1].replace(",", ".")).timestamp() for log in logs]


def begin(instances: list[Serin]) -> None:
    """Starts them all before it waits for the first."""
    for instance in instances:
        instance.start(wait=False)
    for instance in instances:
        instance.wait_ready()


def end(instances: list[Serin]) -> None:
    """Tells them all before it waits for the first."""
    for instance in instances:
        if instance.running:
            instance.send(signal.SIGTERM)
    for instance in instances:
        instance.stop()
