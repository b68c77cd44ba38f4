"""What the benchmarks of abuse and memory measure with, and how they tell it."""

from __future__ import annotations

from gevent import socket

from bench.abuse import ATTACKS, COLUMNS, Sample, row
from bench.instance import Instance
from bench.memory import row as memory_row
from bench.pace import Pace
from tests.support.crowd import FROM
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer


def test_the_pace_is_kept_over_few_connections():
    with RecordingServer() as server, Pace(server.address, 200) as pace:
        wait_until(lambda: pace.ask()["requests"] >= 50, what="50 requests")
    report = pace.last
    assert report["failures"] == 0
    assert 0 < report["p50_ms"] <= report["p99_ms"] <= report["worst_ms"]
    assert len(server.connections) < report["requests"]


def test_the_pace_counts_every_loss():
    refusal = OK.replace(b"200", b"503")
    for answer in (refusal, None, b"nonsense\r\n\r\n"):
        with RecordingServer(answer) as server, Pace(server.address, 200) as pace:
            wait_until(lambda pace=pace: pace.ask()["requests"] >= 5, what="5 requests")
        assert pace.last["failures"] == pace.last["requests"]


def test_only_what_the_process_has_not_closed_counts_as_crowded():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        target = Instance(listener.getsockname(), 0)
        client.bind((FROM, 0))
        client.connect(target.address)
        accepted, _ = listener.accept()
        with socket.create_connection(target.address), accepted:
            assert target.crowded() == 1
        assert target.crowded() == 0


def test_ratios_are_taken_within_a_round():
    def sample(p99: float) -> Sample:
        return Sample({"p50_ms": 1.0, "p99_ms": p99, "worst_ms": 50.0, "failures": 1}, 10.0)

    samples = {name: [sample(2.0), sample(4.0)] for name in ATTACKS} | {"none": [sample(2.0), sample(1.0)]}
    line = row("slow heads", samples, 0.5)
    assert len(line) == len(COLUMNS)
    assert line == ("slow heads", "500", "1.00", "3.00", "50.0", "1.00 (4.00)", "2", "10.0")


def test_growth_is_told_for_all_and_for_each():
    line = memory_row("idle clients", 1024, 1.0, 2**30, (2**20, 10 * 2**20))
    assert line == ("idle clients", "1,024", "1.0", "1.0", "1.0", "10.0", "10.0")
