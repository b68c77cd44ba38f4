from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.admin.figures import Shared
from app.admin.report_files import ReportFiles
from tests.admin.instance import CANARY, IN_FORCE, Instance
from tests.admin.workers import Processes, answered
from tests.support.processes import wait_until

NEVER = 3600.0


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


@contextmanager
def sharing(instance: Instance, files: ReportFiles, period: float = NEVER) -> Iterator[Shared]:
    figures = Shared(instance.live.report, files, period)
    figures.start()
    try:
        yield figures
    finally:
        figures.stop()


def test_every_worker_shows_the_figures_of_all(processes: Processes) -> None:
    one, other = Instance().apply(), Instance().apply()
    one.serve("stable", 200, 200)
    other.serve("canary", 200, 503)
    other.loads[CANARY].in_flight = 2
    with sharing(other, processes.worker(12)), sharing(one, processes.worker(11)) as figures:
        one.client = one.served_with(figures)
        one.serve("stable", 200)
        status, metrics = one.status(), one.metrics()
    assert status["versions"]["stable"]["answered"]["2xx"] == 3
    assert status["versions"]["canary"]["answered"]["5xx"] == 1
    assert status["versions"]["canary"]["servers"][0]["in_flight"] == 2
    assert [worker["etag"] for worker in status["workers"]] == ["3-abc", "3-abc"]
    assert metrics["serin_responses_total", "2xx", "stable"] == 3
    assert metrics["serin_workers",] == 2


def test_the_age_is_that_of_the_worker_that_waits_longest(processes: Processes) -> None:
    one, other = Instance().apply(), Instance().apply(state=replace(IN_FORCE, age=9.0))
    with sharing(other, processes.worker(12)), sharing(one, processes.worker(11)) as figures:
        one.client = one.served_with(figures)
        assert one.metrics()["serin_config_age_seconds",] == 9.0
        assert [worker["age"] for worker in one.status()["workers"]] == [0.5, 9.0]


def test_one_worker_without_a_config_makes_the_service_unready(processes: Processes) -> None:
    one, other = Instance().apply(), Instance()
    with sharing(one, processes.worker(11)) as figures:
        one.client = one.served_with(figures)
        assert one.get("/readyz").status_code == 200
        with sharing(other, processes.worker(12)):
            assert one.get("/readyz").status_code == 503


def test_a_worker_on_its_way_out_leaves_the_service_ready(processes: Processes) -> None:
    one, other = Instance().apply(), Instance().apply()
    other.gateway.drain()
    with sharing(one, processes.worker(11)) as figures, sharing(other, processes.worker(12)):
        one.client = one.served_with(figures)
        assert one.get("/readyz").status_code == 200
        one.gateway.drain()
        assert one.get("/readyz").text == "draining\n"


def test_a_report_is_written_in_every_period(processes: Processes) -> None:
    one, reader = Instance().apply(), processes.worker(11)
    with sharing(one, processes.worker(12), period=0.01):
        one.serve("stable", 200)
        wait_until(lambda: answered(reader.others()) == [1])


def test_what_was_shown_outlives_a_kill(processes: Processes) -> None:
    one, reader = Instance().apply(), processes.worker(11)
    with sharing(one, processes.worker(12)) as figures:
        one.serve("stable", 200, 200)
        shown = figures.report()
        processes.kill(12)
        assert answered(reader.others()) == answered([shown]) == [2]


def test_a_worker_that_stops_leaves_its_last_counts_and_no_gauges(processes: Processes) -> None:
    one, reader = Instance().apply(), processes.worker(11)
    with sharing(one, processes.worker(12)):
        one.serve("stable", 200)
    [left] = reader.others()
    assert (answered([left]), left["workers"], left["gauges"]["servers"]) == ([1], [], {})


def test_without_a_disk_a_worker_still_shows_its_own(
    processes: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    instance, files = Instance().apply(), processes.worker(11)
    with sharing(instance, files) as figures:
        (files.folder / "lock").unlink()
        files.folder.rename(processes.folder / "elsewhere")
        (processes.folder / "workers").rmdir()
        (processes.folder / "workers").write_text("in the way")
        instance.serve("stable", 200)
        assert answered([figures.report(), figures.report()]) == [1, 1]
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum(message.startswith("the workers' figures cannot be shared") for message in messages) == 1
    assert messages[-1].startswith("the last report of this worker is lost")
