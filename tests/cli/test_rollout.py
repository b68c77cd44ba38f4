"""`rollout watch`, of a pilot that says what the test has it say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result
from gevent.pywsgi import WSGIServer

from app.cli import main
from tests.support.processes import free_port

RUNNING: dict[str, Any] = {
    "id": "a",
    "state": "running",
    "step": 0,
    "steps": [{"ratio": 0.1}, {"ratio": 1.0}],
    "reason": "started",
    "waits_for": {"why": "it lasts 1s more"},
}
DONE = RUNNING | {"state": "done", "step": 1, "reason": "everybody gets what was the canary"}
BACK = RUNNING | {"state": "rolled_back", "reason": "nobody gets the canary"}


@contextmanager
def pilot(*says: dict[str, Any] | str | None) -> Iterator[str]:
    """Its URL. Each answer is a rollout, or text that is none."""
    left = list(says)

    def answer(environ: Any, start_response: Any) -> list[bytes]:
        said = left.pop(0)
        start_response("200 OK", [])
        return [said.encode() if isinstance(said, str) else json.dumps({"rollout": said}).encode()]

    server = WSGIServer(("127.0.0.1", 0), answer, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop()


def watch(url: str, *flags: str) -> Result:
    return CliRunner().invoke(main, ["rollout", "watch", *flags], env={"PILOT_URL": url})


@pytest.mark.parametrize(("end", "status"), [(DONE, 0), (BACK, 1), (None, 1)])
def test_the_exit_status_says_how_it_ended(end: dict[str, Any] | None, status: int) -> None:
    with pilot(end) as url:
        assert watch(url).exit_code == status


def test_each_change_is_a_plain_line() -> None:
    with pilot(RUNNING, RUNNING, DONE) as url:
        assert watch(url).output.splitlines() == [
            "rollout a is running (step 1 of 2, 10 %): started; waits: it lasts 1s more",
            "rollout a is done (step 2 of 2, 100 %): everybody gets what was the canary",
        ]


def test_a_pilot_that_is_away_for_a_moment_is_waited_for() -> None:
    with pilot(RUNNING, "no JSON", DONE) as url:
        assert watch(url).exit_code == 0


def test_a_pilot_that_never_answers_is_told() -> None:
    result = watch(f"http://127.0.0.1:{free_port()}")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "does not answer" in result.stderr


def test_json_has_the_rollout() -> None:
    with pilot(DONE) as url:
        assert json.loads(watch(url, "--json").stdout) == DONE
