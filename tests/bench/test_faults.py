"""How the benchmark of failures tells what holds, with what it measures, and one small run of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.failing import FAULTS, SLICES, canary, collapse, grows
from bench.faults import flags, trials
from bench.faulty import Faulty
from bench.renewals import changes, finding
from tests.support.processes import fetch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with Faulty(tmp_path_factory.mktemp("faulty"), "canary") as server:
        yield server


def test_a_server_behaves_as_it_is_told_and_counts(server: Faulty) -> None:
    before = server.served()
    for manner, status in (("fails", 503), ("well", 200)):
        server.be(manner)
        answer = fetch("GET", server.url)
        assert (answer.status_code, answer.headers["X-Version"]) == (status, "canary")
    server.be("halves")
    assert {fetch("GET", server.url).status_code for _ in range(40)} == {200, 503}
    server.be("resets")
    with pytest.raises(OSError, match="reset"):
        fetch("GET", server.url)
    assert server.served() - before == 43


def test_a_manner_that_it_does_not_know_is_refused(server: Faulty) -> None:
    with pytest.raises(AssertionError, match="it may be well, fails, halves, resets"):
        server.be("odd")


@pytest.mark.parametrize(
    ("shares", "holds"),
    [
        ([0.05, 0.1, 0.2, 0.3], True),
        ([0.05, 0.1, 0.08, 0.3], True),
        ([0.33, 0.33, 0.33, 0.33], False),
        ([0.05, 0.1, 0.5, 0.33], False),
        ([0.05, 0.2, 0.1, 0.33], False),
    ],
)
def test_a_herd_is_told_from_a_slow_start(shares: list[float], holds: bool) -> None:
    assert grows(shares) is holds
    assert len(shares) <= SLICES


def load(requests: int, *failures: str) -> Any:
    return SimpleNamespace(
        result=SimpleNamespace(requests=requests, lost=len(failures), failures=list(failures))
    )


def test_every_loss_counts_and_the_first_is_told() -> None:
    assert finding("a", (load(1000), load(234))).seen == "0 of 1,234 requests lost"
    found = finding("a", (load(1000), load(234, "ConnectionResetError: reset", "HTTP/1.1 503 \r\nA: b")))
    assert (found.seen, found.holds) == (
        "2 of 1,234 requests lost, first ConnectionResetError: reset",
        False,
    )


def test_there_is_a_line_for_each_thing_that_is_asked() -> None:
    names = ["canary", *FAULTS, "down", "down-probed", "half", "half-later", "restarts"]
    hups = ["hup-worker-1", "hup-worker-2", "hup-stock-1", "hup-stock-2"]
    assert list(trials(flags([]))) == [*names, *hups, "servers"]


@pytest.mark.end_to_end
def test_a_failing_canary_gives_a_line(tmp_path: Path) -> None:
    found = canary(0.3, tmp_path)
    assert found.what == "canary fails all requests at ratio 0.2"
    assert found.seen.startswith("0 errors in ")


@pytest.mark.end_to_end
def test_a_collapse_gives_a_line(tmp_path: Path) -> None:
    found = collapse(300, 0.0, tmp_path)
    assert found.holds, found
    assert " times; " in found.seen


@pytest.mark.end_to_end
def test_servers_that_come_and_go_give_a_line(tmp_path: Path) -> None:
    found = changes(2, tmp_path)
    assert found.holds, found
