"""What the benchmark reads from wrk and the kernel, and how it tells it."""

import os

import pytest

from bench.measure import Sample, cpu_seconds, read_report, resident_bytes
from bench.peers import CONFIGS, PEERS, SERVERS, Site
from bench.proxy import PORTS, chosen, table

REPORT = """\
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.49ms    1.21ms  22.10ms     99%
    Req/Sec     7.21k   100.20     7.40k    50%
  Latency Distribution
     50%  850.00us
     75%    2.00ms
     99%    1.05s
  69364 requests in 2.00s, 11.25MB read
Requests/sec:  34682.10
"""
ERRORS = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\n"


def test_reads_the_report():
    report = read_report(REPORT)
    assert (report.requests, report.rate, report.p50_ms, report.p99_ms) == (69364, 34682.10, 0.85, 1050)
    assert report.errors == 0


def test_counts_every_kind_of_error():
    assert read_report(REPORT + ERRORS).errors == 15


def test_refuses_a_report_it_cannot_read():
    with pytest.raises(ValueError, match="no "):
        read_report("unable to connect")


def test_cost_and_memory_of_a_process():
    assert cpu_seconds(os.getpid()) > 0
    assert resident_bytes(os.getpid()) > 1_000_000


def test_ratios_are_taken_within_a_round():
    serin = [Sample(10, 1, 1, 1, 0, 1), Sample(20, 1, 1, 1, 0, 1)]
    nginx = [Sample(5, 1, 1, 1, 2, 1), Sample(10, 1, 1, 1, 1, 1)]
    peers = chosen("serin,nginx,caddy")
    lines = table(peers, {"Serin": serin, "nginx": nginx}, {"Caddy": "not installed"}).splitlines()
    assert "| 15.0 (10.0–20.0) | 1.00 |" in lines[2]
    assert "| 7.5 (5.0–10.0) | 0.50 | 1 | 1.00 | 1.00 | 3 | 1 |" in lines[3]
    assert "| Caddy | – | not installed |" in lines[4]


def test_a_name_it_does_not_know_is_refused():
    with pytest.raises(SystemExit, match=r"'squid' is none of serin, nginx"):
        chosen("squid")


@pytest.mark.parametrize("config", [peer.config for peer in (*PEERS, SERVERS)])
def test_every_placeholder_is_filled(config, tmp_path):
    Site(dict.fromkeys(PORTS, 9), tmp_path).lay(config)
    text = (tmp_path / config).read_text()
    assert (CONFIGS / config).read_text() != text
    assert not any(f"@{name}@" in text for name in (*PORTS, "folder"))
