"""The reports of the workers of one service, a file each, in a folder of their own below STATE_DIR.

    workers/<parent's pid>-<its birth>/<worker's pid>-<its birth>.json
    workers/<parent's pid>-<its birth>/departed.json

The dead keep their counters: their files stay until a new worker adds them up in `departed`. Nothing is synced
to disk: files need not outlive the machine's memory, because no service does. Everything here blocks, and
nothing logs, so that it may run in a native thread.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app.admin.process import born, children
from app.admin.report import Report, departed, merge

# To be raised whenever Report changes: workers of two releases may serve side by side while one takes over.
FORMAT = 3
_NAME = re.compile(r"([0-9]+)-([0-9]+)")


class Departed(NamedTuple):
    """The counters of the dead, added up. `names`: the files that are in the sum and count no more."""

    report: Report | None
    names: frozenset[str]


class ReportFiles:
    """The folder of the service that `parent` (a pid) leads, seen by its worker `pid`."""

    def __init__(
        self,
        state_dir: Path,
        parent: int,
        pid: int,
        born: Callable[[int], str | None] = born,
        children: Callable[[int], set[int]] = children,
    ) -> None:
        self._born = born
        self._children = children
        self._parent = parent
        self._root = state_dir / "workers"
        self.folder = self._root / f"{parent}-{born(parent) or 0}"
        self.own = self.folder / f"{pid}-{born(pid) or 0}.json"

    def open(self) -> None:
        """Make the folder, remove those of services that have gone, add up our own dead. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in self._root.iterdir():
            if folder != self.folder and not self._lives(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        with self._locked(fcntl.LOCK_EX):
            self._bury()

    def write(self, report: Report) -> None:
        """Replace our own report, whole or not at all. Raises OSError."""
        _replace(self.own, {"report": report})

    def others(self) -> list[Report]:
        """The reports of the other workers; of the dead, what stays of them. Raises OSError."""
        with self._locked(fcntl.LOCK_SH):
            dead = self._departed()
            reports = [
                report if self._lives(path.stem) else departed(report)
                for path in self._reports()
                if path != self.own and path.name not in dead.names and (report := self._read(path))
            ]
        return reports + ([dead.report] if dead.report else [])

    def starting(self) -> set[int]:
        """The workers, by pid, that have begun and have not reported yet: they do not serve yet."""
        reported = {path.stem for path in self._reports()}
        return {pid for pid in self._children(self._parent) if f"{pid}-{self._born(pid)}" not in reported}

    def _bury(self) -> None:
        """Add the files of the dead to `departed` and only then remove them; its `names` tell if we die between."""
        former = self._departed()
        dead = [path for path in self._reports() if not self._lives(path.stem)]
        new = [report for path in dead if path.name not in former.names and (report := self._read(path))]
        if new:
            total = departed(merge([*new, former.report] if former.report else new))
            names = [path.name for path in dead]
            _replace(self.folder / "departed.json", {"report": total, "names": names})
        for path in dead:
            path.unlink()

    def _departed(self) -> Departed:
        content = _content(self.folder / "departed.json")
        return Departed(content.get("report"), frozenset(content.get("names", ())))

    def _reports(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("*.json") if _NAME.fullmatch(path.stem))

    def _read(self, path: Path) -> Report | None:
        return _content(path).get("report")

    def _lives(self, name: str) -> bool:
        """Does the process still run after which this folder or file is named? Other names are none of ours."""
        match = _NAME.fullmatch(name)
        return match is None or self._born(int(match[1])) == match[2]

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Exclusive for who adds up the dead, shared for who reads: no file is counted twice, or not at all."""
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, how)
            yield


def _replace(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"format": FORMAT, **content}))
    new.replace(path)


def _content(path: Path) -> dict[str, Any]:
    """What the file holds; nothing, if it is gone or of another release."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) and content.get("format") == FORMAT else {}
