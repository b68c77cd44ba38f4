from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.admin.report import NO_GAUGES, merge
from tests.admin.workers import PARENT, Processes, answered, report


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def test_a_worker_reads_what_the_others_wrote(processes: Processes) -> None:
    one, two, three = (processes.worker(pid) for pid in (11, 12, 13))
    for requests, files in enumerate((one, two, three), 1):
        files.write(report(requests))
    assert answered(one.others()) == [2, 3]
    assert answered(three.others()) == [1, 2]


def test_the_newest_report_is_the_one_that_counts(processes: Processes) -> None:
    one, two = processes.worker(11), processes.worker(12)
    two.write(report(1))
    two.write(report(5))
    assert answered(one.others()) == [5]
    assert one.others()[0] == json.loads(json.dumps(report(5)))


def test_the_dead_keep_their_counters_and_lose_their_gauges(processes: Processes) -> None:
    one, two = processes.worker(11), processes.worker(12)
    two.write(report(3))
    processes.kill(12)
    [left] = one.others()
    assert answered([left]) == [3]
    assert (left["workers"], left["gauges"]) == ([], NO_GAUGES)


def test_no_count_is_lost_however_often_workers_are_replaced(processes: Processes) -> None:
    lasting = processes.worker(11)
    for pid in range(20, 30):
        processes.worker(pid).write(report(2))
        processes.kill(pid)
        assert answered([merge(lasting.others())]) == [2 * (pid - 19)]
    processes.worker(40)
    assert sorted(path.name for path in lasting.folder.iterdir()) == ["departed.json", "lock"]
    assert answered(lasting.others()) == [20]


def test_a_pid_that_is_used_again_is_another_worker(processes: Processes) -> None:
    one, former = processes.worker(11), processes.worker(12)
    former.write(report(3))
    processes.kill(12)
    processes.births[99] = "1"
    processes.worker(12).write(report(4))
    assert answered([merge(one.others())]) == [7]


def test_who_dies_while_adding_up_the_dead_leaves_none_counted_twice(processes: Processes) -> None:
    one, two = processes.worker(11), processes.worker(12)
    two.write(report(3))
    file = two.own.read_text()
    processes.kill(12)
    processes.worker(13)
    two.own.write_text(file)  # as if the new worker had not come to remove it
    assert answered([merge(one.others())]) == [3]
    processes.worker(14)
    assert not two.own.exists()
    assert answered([merge(one.others())]) == [3]


def test_services_do_not_mix(processes: Processes) -> None:
    processes.births[20] = "2"
    ours, theirs = processes.worker(11), processes.worker(21, parent=20)
    theirs.write(report(3))
    assert ours.others() == []
    assert theirs.own.exists()


def test_what_services_of_the_past_left_is_removed(processes: Processes) -> None:
    processes.births[20] = "2"
    theirs = processes.worker(21, parent=20)
    theirs.write(report(3))
    stranger = processes.folder / "workers" / "notes"
    stranger.mkdir()
    processes.kill(20)
    ours = processes.worker(11)
    assert sorted(path.name for path in ours.folder.parent.iterdir()) == [f"{PARENT}-1", "notes"]


def test_a_parent_with_the_pid_of_a_former_one_is_another_service(processes: Processes) -> None:
    processes.worker(11).write(report(3))
    processes.births[PARENT] = "2"
    ours = processes.worker(12)
    assert ours.others() == []
    assert [path.name for path in ours.folder.parent.iterdir()] == [f"{PARENT}-2"]


def test_a_worker_whose_parent_has_just_gone_keeps_its_own_folder(processes: Processes) -> None:
    processes.kill(PARENT)
    files = processes.worker(11)
    files.write(report(3))
    assert files.own.exists()
    assert (files.folder / "lock").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 0, "report": {}}', '{"report": 1}'])
def test_a_file_of_another_release_or_of_nobody_is_passed_over(processes: Processes, content: str) -> None:
    one, two = processes.worker(11), processes.worker(12)
    two.own.write_text(content)
    assert one.others() == []


def test_a_folder_that_somebody_removed_comes_back_with_the_next_report(processes: Processes) -> None:
    one, two = processes.worker(11), processes.worker(12)
    for path in one.folder.iterdir():
        path.unlink()
    one.folder.rmdir()
    two.write(report(3))
    assert answered(one.others()) == [3]


def test_who_has_not_reported_yet_is_starting(processes: Processes) -> None:
    one, two = processes.worker(11), processes.worker(12)
    assert one.starting() == {11, 12}
    one.write(report(1))
    assert one.starting() == two.starting() == {12}
    two.write(report(1))
    assert one.starting() == set()
    processes.births[13] = "13"
    assert one.starting() == {13}
    processes.kill(13)
    assert one.starting() == set()
