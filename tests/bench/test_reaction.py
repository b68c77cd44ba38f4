"""How the benchmark of rollouts tells what holds from what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.course import Course, Version, interleaved
from bench.findings import COLUMNS, Finding, table
from bench.pace import Pace, Requests
from bench.reaction import flags, trials
from bench.reactions import CASES, Case, Sample, finding, tried
from bench.trials import chosen
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer

FAILING = next(case for case in CASES if case.name == "failing")
STEPS = [{"ratio": 0.1}, {"ratio": 1.0}]


def sample(state: str = "rolled_back", seconds: float = 2.0, errors: int = 0) -> Sample:
    return Sample(state, seconds, 1000, errors)


@pytest.mark.parametrize(
    ("samples", "holds"),
    [
        ([sample(), sample(seconds=5.0)], True),
        ([sample(), sample(seconds=5.1)], False),
        ([sample(), sample(errors=1)], False),
        ([sample(), sample("done")], False),
    ],
)
def test_the_worst_of_all_repeats_counts(samples: list[Sample], holds: bool) -> None:
    assert finding(FAILING, samples).holds is holds


def test_what_was_seen_is_told_with_its_median_and_worst() -> None:
    found = finding(FAILING, [sample(seconds=1.0), sample(seconds=2.0), sample(seconds=4.0, errors=3)])
    assert found.asked == "rolled back, within 5 s, no errors"
    assert found.seen == (
        "3 of 3 rolled back after 2.0 s (worst 4.0 s), 0 errors (worst 3) in 1,000 requests"
    )


def test_any_number_of_errors_may_be_allowed() -> None:
    assert finding(Case("any", "any", "rolled_back"), [sample(seconds=99.0, errors=99)]).holds


def course(ratios: list[float], rollouts: list[tuple[int, int]], reasons: list[tuple[int, str]]) -> Course:
    """`ratios` at revisions 2, 4 …; `rollouts`: revision and step; `reasons` with their steps."""
    log = [{"step": step, "reason": reason} for step, reason in reasons]
    return Course(
        [Version(revision, {"steps": STEPS, "step": step, "log": log}) for revision, step in rollouts],
        [Version(2 * number, {"ratio": ratio}) for number, ratio in enumerate(ratios)],
    )


FIRST, SECOND = (0, "started: 10 % to the canary"), (1, "100 % to the canary")
GOOD: dict[str, Any] = {
    "ratios": [0, 0.1, 1, 0],
    "rollouts": [(1, 0), (3, 1)],
    "reasons": [FIRST, SECOND, (1, "the canary has passed")],
}


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({}, []),
        ({"reasons": [FIRST, SECOND, SECOND]}, ["the steps [0, 1, 1] are in its log"]),
        ({"ratios": [0, 0.1, 0]}, ["the ratios [0.1, 0] were written"]),
        ({"rollouts": [(1, 0), (5, 1)]}, ["1 was in force while 0.1 was the step"]),
    ],
)
def test_what_is_wrong_with_a_course_is_told(change: dict[str, Any], faults: list[str]) -> None:
    assert course(**(GOOD | change)).faults() == faults


def log(*entries: tuple[int, str]) -> str:
    lines = (
        f"2026-01-01 10:00:{second:02},000 INFO x: rollout a is running: {reason}"
        for second, reason in entries
    )
    return "\n".join(["2026-01-01 09:00:00,000 INFO x: this pilot leads", *lines])


@pytest.mark.parametrize(
    ("logs", "faults"),
    [
        ([log((1, "one"), (2, "two")), log((3, "three"))], []),
        ([log((1, "one"), (3, "three")), log((2, "two"))], ["3 turns in 1 takeovers"]),
        ([log((1, "one"), (2, "two")), log((3, "two"))], ["done 2 times: two"]),
    ],
)
def test_who_writes_out_of_turn_is_found(logs: list[str], faults: list[str]) -> None:
    assert interleaved(logs, takeovers=1) == faults


def test_what_does_not_hold_stands_out() -> None:
    lines = table([Finding("a", "b", "c", True), Finding("d", "e", "f", False)]).splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    assert lines[2:] == ["| a | b | c | yes |", "| d | e | f | **no** |"]


def test_a_line_it_does_not_know_is_refused() -> None:
    known = trials(flags([]))
    assert list(chosen("", known)) == [*(case.name for case in CASES), "killed", "leaders", "away"]
    assert list(chosen("away, slow", known)) == ["slow", "away"]
    with pytest.raises(SystemExit, match="slowest: none of failing"):
        chosen("slowest", known)


def test_visitors_have_names_and_ask_for_slow_answers() -> None:
    sent = [Requests(pages=2, delay=0.01).number(number).decode() for number in range(3)]
    assert [text.partition("X-Visitor: ")[2].strip() for text in sent] == ["0", "0", "1"]
    assert all(text.startswith("GET /?delay=0.") for text in sent)
    assert b"X-Visitor" not in Requests().number(0)


def test_the_pace_tells_when_a_version_answered() -> None:
    answer = OK.replace(b"\r\n", b"\r\nX-Version: canary\r\n", 1)
    with RecordingServer(answer) as server, Pace(server.address, 100) as pace:
        wait_until(lambda: pace.ask()["requests"] >= 5, what="5 requests")
    canary = pace.last["versions"]["canary"]
    assert canary["number"] == pace.last["requests"]
    assert canary["first"] < canary["last"]


@pytest.mark.end_to_end
def test_a_canary_that_fails_gives_a_line(tmp_path: Path) -> None:
    found = tried(FAILING, 1, tmp_path)
    assert found.what == "canary fails 20 %"
    assert found.seen.startswith("1 of 1 rolled back after ")
