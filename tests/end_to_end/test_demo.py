"""The demo with a plan of a few seconds, on ports of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from samples.stage import PORTS
from tests.support.processes import Process, answers, free_port, python, wait_until

pytestmark = pytest.mark.end_to_end

PLAN = {
    "steps": [{"ratio": 0.5}, {"ratio": 1.0}],
    "hold": "0.3s",
    "warmup": 0,
    "min_requests": 20,
    "gates": {"failures": {"acceptable": 0.1}},
}
ALL_UP = "All stays up until Ctrl-C"


@pytest.fixture
def ports() -> dict[str, str]:
    return {variable: str(free_port()) for variable in PORTS}


def demo(folder: Path, ports: dict[str, str], *flags: str) -> Process:
    plan = folder / "plan.json"
    plan.write_text(json.dumps(PLAN))
    environment = ports | {"TMPDIR": str(folder)}
    return Process(python("samples.demo", "--plan", str(plan), *flags), folder / "log", env=environment)


def test_a_healthy_canary_is_promoted(tmp_path: Path, ports: dict[str, str]) -> None:
    with demo(tmp_path, ports, "--once") as playing:
        wait_until(lambda: not playing.running, 40, what="the end", pause=0.1)
        assert playing.terminate() == 0
        said = playing.output()
    assert re.search(
        "50 % to the canary.*100 % to the canary.*everybody gets what was the canary", said, re.DOTALL
    )
    assert re.search(r"Visitors made \d+ requests and saw 0 errors", said.replace(",", ""))
    assert ALL_UP not in said
    assert not list(tmp_path.glob("serin-demo-*"))


def test_one_that_fails_is_taken_back_and_no_visitor_sees_it(tmp_path: Path, ports: dict[str, str]) -> None:
    with demo(tmp_path, ports, "--fails", "0.3") as playing:
        wait_until(lambda: ALL_UP in playing.output(), 40, what="the end of the rollout", pause=0.1)
        assert answers(f"http://127.0.0.1:{ports['PORT']}/")()
        assert playing.terminate() == 0
        said = playing.output()
    assert "it fails more often than it may" in said
    assert re.search("The canary failed .* times. Visitors made .* requests and saw 0 errors", said)
    assert not any(answers(f"http://127.0.0.1:{port}/")() for port in ports.values())
