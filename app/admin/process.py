"""Which process a pid means: pids are used again, but not with the same time of birth."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def born(pid: int, proc: Path = PROC) -> str | None:
    """When the process began, as a word (Linux: clock ticks since boot, proc(5)); None when it has gone.

    Where there is no /proc, all living processes seem equally old.
    """
    if not (proc / "self").exists():
        return "0" if _exists(pid) else None
    try:
        stat = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command's name, in parentheses, and may hold anything.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def children(pid: int, proc: Path = PROC) -> set[int]:
    """Its living children (Linux, proc(5)); none where that is not told."""
    try:
        told = (proc / str(pid) / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return set()
    return {child for child in map(int, told) if born(child, proc) is not None}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
