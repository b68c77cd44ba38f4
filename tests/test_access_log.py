"""Lines arrive whole and in order, wherever the file has gone, and never hold anybody up."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event

import pytest

from app.access_log import MOST, AccessLog
from tests.support.processes import wait_until


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "logs" / "access.log"))
    log.start()
    for number in range(100):
        log.write(b"%d\n" % number)
    log.stop()
    assert (tmp_path / "logs" / "access.log").read_text().split() == [str(number) for number in range(100)]


def test_lines_come_while_it_runs_and_follow_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path))
    log.start()
    log.write(b"before\n")
    wait_until(lambda: path.read_bytes() == b"before\n")
    path.rename(tmp_path / "access.log.1")
    log.write(b"after\n")
    wait_until(lambda: path.exists() and path.read_bytes() == b"after\n")
    log.stop()
    assert (tmp_path / "access.log.1").read_bytes() == b"before\n"


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    logs = [AccessLog(str(tmp_path / "access.log")) for _ in range(2)]
    for log in logs:
        log.start()
    for log in logs:
        log.write(b"x" * 1000 + b"\n")
        log.stop()
    assert (tmp_path / "access.log").read_bytes() == (b"x" * 1000 + b"\n") * 2


def test_a_file_that_is_not_to_be_had_is_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        AccessLog(str(tmp_path / "file" / "access.log")).start()


def test_what_a_full_disk_does_not_take_is_lost_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog("/dev/full")
    log.start()
    log.write(b"a\n")
    log.write(b"b\n")
    log.stop()
    assert log.dropped == 2
    assert "the access log lost 2 lines: [Errno 28] No space left on device" in caplog.text


def test_a_slow_disk_fills_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    disk, written = Event(), []

    def append(_path: str, data: bytes) -> None:
        if data:
            disk.wait(10)
            written.append(len(data))

    log = AccessLog("any", append)
    log.start()
    line = b"x" * (MOST // 4 - 1) + b"\n"
    for _ in range(6):
        log.write(line)
    assert log.dropped == 2
    disk.set()
    with caplog.at_level(logging.ERROR):
        log.write(b"")
        log.stop()
    assert written == [4 * len(line)]


def test_the_time_is_that_of_the_second(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "log"))
    assert log.stamp().startswith(b"[")
    assert log.stamp().endswith(b" +0000]")
