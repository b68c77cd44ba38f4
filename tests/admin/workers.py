"""Workers of one service as files see them: pids that are born and die as a test says."""

from __future__ import annotations

from pathlib import Path

from app.admin.report import Report
from app.admin.report_files import ReportFiles
from tests.admin.instance import Instance

PARENT = 10


class Processes:
    """`births` of the living by pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.births = {PARENT: "1"}

    def worker(self, pid: int, parent: int = PARENT) -> ReportFiles:
        """A worker that is born now, with its folder open."""
        self.births[pid] = str(len(self.births) + 100 * pid)
        files = ReportFiles(
            self.folder, parent, pid, self.births.get, lambda _parent: self.births.keys() - {PARENT}
        )
        files.open()
        return files

    def kill(self, pid: int) -> None:
        del self.births[pid]


def report(requests: int) -> Report:
    """Of a worker whose stable server answered so many requests with 200 and has one more in flight."""
    instance = Instance().apply()
    instance.serve("stable", *[200] * requests)
    for load in instance.loads.values():
        load.in_flight = 1
    return instance.live.report()


def answered(reports: list[Report]) -> list[int]:
    """The 2xx of each report, sorted."""
    return sorted(each["counters"]["versions"]["stable"]["answered"][2] for each in reports)
