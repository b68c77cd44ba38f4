from __future__ import annotations

import os
from pathlib import Path

import pytest
from gevent import subprocess

from app.admin.process import born, children
from tests.support.processes import PYTHON, wait_until


def fake_proc(folder: Path, stat: str) -> Path:
    (folder / "self").mkdir()
    (folder / "7").mkdir()
    (folder / "7" / "stat").write_text(stat)
    return folder


def test_a_process_is_as_old_at_every_question() -> None:
    # Not our own parent for the comparison: it may have begun in the same tick of the clock.
    assert born(os.getpid()) == born(os.getpid()) != born(1)


def test_a_process_that_has_gone_was_never_born() -> None:
    with subprocess.Popen([PYTHON, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert born(process.pid) is not None
        process.communicate(b"\n")
    wait_until(lambda: born(process.pid) is None)


@pytest.mark.parametrize(("state", "age"), [("S", "1234"), ("R", "1234"), ("Z", None), ("X", None)])
def test_who_only_waits_to_be_buried_has_gone(tmp_path: Path, state: str, age: str | None) -> None:
    numbers = " ".join("0" for _ in range(18))
    proc = fake_proc(tmp_path, f"7 (a) name (R 9) {state} {numbers} 1234 5678 9\n")
    assert born(7, proc) == age


def test_without_proc_all_who_live_are_equally_old(tmp_path: Path) -> None:
    assert born(os.getpid(), tmp_path) == "0"
    with subprocess.Popen([PYTHON, "-c", ""]) as process:
        process.wait()
    assert born(process.pid, tmp_path) is None


def test_the_children_of_a_process_are_those_that_live() -> None:
    with subprocess.Popen([PYTHON, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert process.pid in children(os.getpid())
        process.communicate(b"\n")
    wait_until(lambda: process.pid not in children(os.getpid()))


def test_without_proc_nobody_has_children(tmp_path: Path) -> None:
    assert children(os.getpid(), tmp_path) == set()
