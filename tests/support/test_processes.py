"""Starting and ending real processes."""

import sys

import pytest

from tests.support.processes import Process, answers, free_port, python, wait_until


def sample(tmp_path, *flags):
    port = free_port()
    command = python("samples.version", "--port", str(port), *flags)
    return Process(command, tmp_path / "log", ready=answers(f"http://127.0.0.1:{port}/"))


def test_is_ready_inside_and_gone_after(tmp_path):
    with sample(tmp_path) as process:
        assert process.running
    assert not process.running
    assert "stable listens" in process.tail()


def test_ends_politely_or_at_once_and_starts_again(tmp_path):
    with sample(tmp_path) as process:
        assert process.terminate() == 0
        process.start().kill9()
        assert not process.running
        assert process.start().running


def test_one_that_dies_shows_its_log(tmp_path):
    broken = Process([sys.executable, "-c", "print('alas'); raise SystemExit(3)"], tmp_path / "log")
    waiting = Process(broken.command, broken.log, ready=lambda: False)
    with pytest.raises(AssertionError, match=r"it ended(.|\n)*alas"), waiting:
        pass


def test_leaves_no_child_behind(tmp_path):
    port = free_port()
    script = f"{sys.executable} -m samples.version --port {port} & wait"
    with Process(["bash", "-c", script], tmp_path / "log", ready=answers(f"http://127.0.0.1:{port}/")):
        pass
    assert not answers(f"http://127.0.0.1:{port}/")()


def test_waiting_has_an_end():
    with pytest.raises(AssertionError, match="pigs to fly"):
        wait_until(lambda: False, 0.01, what="pigs to fly")
