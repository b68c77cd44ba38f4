"""What the benchmark reads from wrk and the kernel, what it lays out, and how it tells it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from itertools import count

import pytest

from bench.measure import (
    Load,
    Sample,
    canary_share,
    cpu_seconds,
    read_report,
    resident_bytes,
    visit,
    visitors,
    wrk,
)
from bench.peers import CONFIGS, PEERS, SERIN, SERVERS, Site
from bench.proxy import PORTS, chosen, excuse, proxy, sticking, table
from bench.results import COLUMNS, INTRO, keep, kept, machine, markdown
from bench.scenarios import SCENARIOS
from tests.support.processes import free_port
from tests.support.raw import OK, RecordingServer

REPORT = """\
Running 1s test @ http://127.0.0.1:80/
Transfer/sec:    745.01KB
{"requests": 9000, "seconds": 1.5, "p50_ms": 0.374, "p99_ms": 0.818, "p999_ms": 2.288, "errors": 3}
"""
FEATURES = [frozenset(), frozenset({"sticky"}), frozenset({"log"})]
SAMPLE = Sample(cpu_us=10, rate=1, p50_ms=1, p99_ms=1, p999_ms=1, errors=0, rss_mb=1)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


def answer(cookie: str, body: str = "stable\n") -> bytes:
    fields = f"Content-Length: {len(body)}\r\nConnection: close\r\nSet-Cookie: {cookie}; Path=/\r\n"
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n{body}".encode()


def test_reads_the_report():
    report = read_report(REPORT)
    assert (report.requests, report.seconds, report.errors) == (9000, 1.5, 3)
    assert (report.p50_ms, report.p99_ms, report.p999_ms) == (0.374, 0.818, 2.288)


@pytest.mark.parametrize("text", ["", "unable to connect", "Requests/sec: 1\n"])
def test_refuses_a_report_it_cannot_read(text):
    with pytest.raises(ValueError, match="no report"):
        read_report(text)


@needs_wrk
def test_wrk_asks_and_reports():
    load = Load(1, 2, max(os.sched_getaffinity(0)), "/bodies/16k")
    with RecordingServer() as server:
        report = read_report(wrk(server.address[1], load))
    assert report.requests > 0
    assert report.errors == 0
    assert 0 < report.p50_ms <= report.p99_ms <= report.p999_ms
    assert all(request.startswith(b"GET /bodies/16k HTTP/1.1\r\n") for request in server.requests)


@needs_wrk
def test_wrk_posts_in_the_name_of_each_visitor_and_counts_refusals():
    load = Load(1, 1, max(os.sched_getaffinity(0)), post=100, cookies=("v=1", "v=2"))
    with RecordingServer(OK.replace(b"200", b"503")) as server:
        report = read_report(wrk(server.address[1], load))
    assert report.errors >= report.requests > 2
    pair = server.requests[:2]
    assert {cookie for cookie in (b"v=1", b"v=2") for each in pair if cookie in each} == {b"v=1", b"v=2"}
    assert all(each.startswith(b"POST / ") and each.endswith(b"\r\n\r\n" + b"x" * 100) for each in pair)


@needs_wrk
def test_wrk_opens_a_connection_for_each_request():
    load = Load(1, 2, max(os.sched_getaffinity(0)), close=True)
    with RecordingServer(answer("v=1")) as server:
        report = read_report(wrk(server.address[1], load))
    assert report.errors == 0
    assert b"\r\nConnection: close\r\n" in server.requests[0]
    assert max(map(len, server.connections)) == 1


def test_cost_and_memory_of_a_process():
    assert cpu_seconds(os.getpid()) > 0
    assert resident_bytes(os.getpid()) > 1_000_000


def test_visitors_are_told_apart_by_their_cookies():
    with RecordingServer(answer("v=1")) as server:
        assert canary_share(server.address[1], 3) == 0
        assert visitors(server.address[1], 2) == ("v=1", "v=1")
    with RecordingServer(answer("v=1", "canary\n")) as server:
        assert canary_share(server.address[1], 3) == 1


def test_visitors_who_do_not_stick_are_noticed():
    turns = count()
    fickle = RecordingServer(lambda _: answer("v=1", f"version {next(turns)}\n"))
    with fickle as server, pytest.raises(AssertionError, match="a visitor with 'v=1' met"):
        sticking(server.address[1])
    with RecordingServer(answer("v=1")) as server:
        assert set(sticking(server.address[1])) == {"v=1"}


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_the_obvious_way_keeps_its_visitors(tmp_path):
    core = max(os.sched_getaffinity(0))
    with RecordingServer(answer("no=1")) as stable, RecordingServer(answer("no=1", "canary\n")) as canary:
        ports = {"listen": free_port(), "stable": stable.address[1], "canary": canary.address[1]}
        with proxy(chosen("obvious", PEERS)[0], Site(ports, tmp_path), core, core):
            assert set(sticking(ports["listen"])) <= {"version=stable", "version=canary"}
            assert visit(ports["listen"], "version=canary") == ("canary", "version=canary")


def test_ratios_are_taken_within_a_round():
    serin = [SAMPLE, replace(SAMPLE, cpu_us=20)]
    nginx = [replace(SAMPLE, cpu_us=5, errors=2), replace(SAMPLE, cpu_us=5, rate=3, errors=1)]
    peers = chosen("serin,nginx,caddy", PEERS)
    versions = [peer.version_text() for peer in peers]
    lines = table(peers, {"Serin": serin, "nginx": nginx}, {"Caddy": "not installed"}).splitlines()
    assert f"| Serin | {versions[0]} | 15.0 (10.0–20.0) | 1.00 (1.00–1.00) |" in lines[2]
    assert "| 5.0 (5.0–5.0) | 0.38 (0.25–0.50) | 2 (1–3) | 1.00 | 1.00 | 1.00 | 3 | 1 |" in lines[3]
    assert lines[4].startswith("| Caddy | – | not installed | – |")
    assert {line.count("|") for line in lines} == {len(COLUMNS) + 1}


def test_without_serin_there_are_no_ratios():
    line = table(chosen("nginx", PEERS), {"nginx": [SAMPLE]}, {}).splitlines()[2]
    assert "| 10.0 (10.0–10.0) | – | 1 (1–1) |" in line


def test_a_name_it_does_not_know_is_refused():
    with pytest.raises(SystemExit, match=r"'squid' is none of serin, serin worker, serin gunicorn, nginx"):
        chosen("serin,squid", PEERS)


def test_who_lacks_a_feature_or_is_not_there_is_excused():
    assert excuse(replace(SERIN, lacks=frozenset({"log"})), BY_NAME["log"]) == "has no access log"
    assert excuse(SERIN, BY_NAME["sticky"]) == ""
    assert excuse(replace(SERIN, binary="no-such-proxy"), BY_NAME["get-1"]) == "not installed"


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("config", sorted({peer.config for peer in (*PEERS, SERVERS)} - {""}))
def test_every_placeholder_is_filled(config, features, tmp_path):
    Site(dict.fromkeys(PORTS, 9), tmp_path, features).lay(config)
    text = (tmp_path / config).read_text()
    assert (CONFIGS / config).read_text() != text
    marks = (*PORTS, "folder", "sticky", "no-sticky", "log", "no-log")
    assert not any(f"@{mark}" in text for mark in marks)


def test_lines_are_for_features(tmp_path):
    text = "always\n  @log: logs @listen@\n@no-log: silent\n@sticky: sticks\n"
    assert Site({"listen": 9}, tmp_path).fill(text) == "always\nsilent\n"
    assert Site({"listen": 9}, tmp_path, frozenset({"log"})).fill(text) == "always\n  logs 9\n"


def test_arguments_are_for_features(tmp_path):
    peer = replace(SERVERS, arguments=("a", "@log: b"))
    plain = peer.process(Site({}, tmp_path), 0, peer.arguments, None)
    logging = peer.process(Site({}, tmp_path, frozenset({"log"})), 0, peer.arguments, None)
    assert plain.command[-1] == "a"
    assert logging.command[-2:] == ["a", "b"]


def test_a_section_takes_the_place_of_the_one_with_its_title():
    page = kept(kept(INTRO, "One", "first"), "Two", "| 2 |")
    assert page == f"{INTRO}\n## One\n\nfirst\n\n## Two\n\n| 2 |\n"
    assert kept(page, "One", "again") == page.replace("first", "again")


def test_the_page_is_begun_and_kept(tmp_path):
    page = tmp_path / "RESULTS.md"
    keep("One", "first", page)
    keep("One", "second", page)
    assert page.read_text() == f"{INTRO}\n## One\n\nsecond\n"


def test_the_machine_is_named():
    assert " cores (" in machine()
    assert "Linux" in machine()


def test_a_table():
    assert markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
