"""What a process holds in memory, in bytes, as the kernel counts it (proc(5), status and clear_refs)."""

from __future__ import annotations

import re
from pathlib import Path


def resident(pid: int) -> int:
    """What is in memory now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most there ever was since `forget_peak`, or since the start; nothing between two looks escapes it."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> int:
    """The peak begins anew at what is there now, which is returned."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident(pid)


def _status(pid: int, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert match, f"no {name}"
    return int(match[1]) * 1024
