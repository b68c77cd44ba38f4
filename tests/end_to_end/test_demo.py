"""The demo as its Procfile starts it, on other ports."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.processes import PYTHON, ROOT, Process, answers, fetch, free_port, python, wait_until

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def ports():
    return {usual: free_port() for usual in (8080, 8081, 8090, 7001, 9001, 9002)}


def moved(file, ports, folder):
    """A copy of a file of the repository in which every usual port is one of ours."""
    copy = folder / Path(file).name
    text = (ROOT / file).read_text()
    copy.write_text(re.sub("|".join(map(str, ports)), lambda match: str(ports[int(match[0])]), text))
    return copy


@pytest.fixture
def demo(tmp_path, ports):
    """Everything of `make demo` but the ports and the place of its files."""
    environment = {
        "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
        "HOST": "127.0.0.1",
        "ADMIN_PORT": str(ports[8081]),
        "CONFIG_SERVER": f"http://127.0.0.1:{ports[7001]}",
        "CONFIG_FILE": str(moved("config/canary.json", ports, tmp_path)),
        "STATE_DIR": str(tmp_path / "var"),
        "KV_PORT": str(ports[7001]),
        "PILOT_PORT": str(ports[8090]),
        "KV_STORE": f"sqlite:///{tmp_path / 'kv.db'}",
    }
    procfile = moved("config/Procfile.demo", ports, tmp_path)
    honcho = python("honcho", "--app-root", str(ROOT), "start", "--port", str(ports[8080]))
    ready = answers(f"http://127.0.0.1:{ports[8080]}/")
    with Process(
        [*honcho, "--procfile", str(procfile)], tmp_path / "log", env=environment, ready=ready
    ) as it:
        yield it


def versions(ports, count):
    url = f"http://127.0.0.1:{ports[8080]}/"
    return [fetch("GET", url).headers.get("X-Version") for _ in range(count)]


def test_shows_stable_and_sometimes_canary_and_takes_a_new_ratio(demo, ports):
    document_url = f"http://127.0.0.1:{ports[7001]}/v1/kv/canary/config"
    wait_until(answers(document_url), what="the config document")
    wait_until(lambda: fetch("GET", f"http://127.0.0.1:{ports[9002]}/").ok, what="the canary")
    wait_until(lambda: set(versions(ports, 50)) == {"stable", "canary"}, what="both versions")
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl -d sends it
    assert fetch("PATCH", document_url, data=json.dumps({"ratio": 1}), headers=form).ok
    wait_until(lambda: set(versions(ports, 10)) == {"canary"}, what="only the canary")


def test_ends_with_all_its_processes(demo, ports):
    demo.terminate()
    assert not any(answers(f"http://127.0.0.1:{port}/")() for port in ports.values())
    assert "Traceback" not in demo.output()
