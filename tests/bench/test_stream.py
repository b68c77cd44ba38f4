"""What the benchmark of large bodies moves, and how it tells it."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench.peers import CONFIGS, Site
from bench.proxy import PORTS
from bench.stream import CASES, COLUMNS, NGINX, STREAMERS, Case, Sample, move, row
from tests.support.processes import PYTHON, ROOT, free_port
from tests.support.transfers import MIB, Origin


@pytest.mark.parametrize(
    ("case", "bodies"),
    [
        (Case("", "download", 1), (1, 1024 * MIB)),
        (Case("", "upload", 8), (1, 128 * MIB)),
        (Case("", "download", 8, body=1), (128, MIB)),
        (Case("", "download", 2000, body=1), (1, MIB)),
    ],
)
def test_a_case_moves_as_much_as_it_was_told_to(case: Case, bodies: tuple[int, int]) -> None:
    assert case.bodies(1024) == bodies


def test_all_bodies_of_a_case_are_moved() -> None:
    with Origin(0.0) as origin:
        origin.wait_ready()
        # A process without gevent, as the benchmark is: what is sent from a file needs sockets that block.
        script = f"from bench.stream import *; print([move({origin.port}, case, 8) for case in CASES])"
        done = subprocess.run([PYTHON, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [8 * MIB] * len(CASES)


def test_a_failure_is_not_lost() -> None:
    with pytest.raises(ConnectionRefusedError):
        move(free_port(), CASES[0], 1)


def test_ratios_are_taken_within_a_round() -> None:
    serin, case = STREAMERS[0], CASES[0]
    samples = {
        (case.title, serin.name): [Sample(1000, 0.5), Sample(3000, 0.5), Sample(2000, 0.5)],
        (case.title, NGINX.name): [Sample(500, 1.0), Sample(1000, 2.0), Sample(4000, 0.0)],
    }
    line = row(case, serin, samples)
    assert len(line) == len(COLUMNS)
    assert line[3:] == ("2,000 (1,000–3,000)", "2.00", "0.50 (0.50–0.50)", "0.38")


def test_without_nginx_there_is_no_ratio() -> None:
    serin, case = STREAMERS[0], CASES[0]
    assert row(case, serin, {(case.title, serin.name): [Sample(1000, 0.5)]})[4::2] == ("–", "–")


@pytest.mark.parametrize("peer", STREAMERS, ids=lambda peer: peer.name)
def test_every_proxy_is_started_with_its_own_config(peer, tmp_path) -> None:
    site = Site(dict.fromkeys(PORTS, 9), tmp_path)
    site.lay(peer.config)
    text = (tmp_path / peer.config).read_text()
    assert (CONFIGS / peer.config).read_text() != text
    assert "@" not in text
    asked = [*peer.arguments, *peer.env.values()]
    assert any(each.endswith(f"/{peer.config}") for each in asked)
