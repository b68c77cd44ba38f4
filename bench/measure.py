"""One measurement: load a proxy for some seconds, and see what that cost it.

The cost is CPU time, user and system, of the proxy and all its threads and children; it is taken from the
kernel's accounting just before and just after the load, and divided by the requests answered.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one load of one proxy came to; `errors` counts failed connections and answers that are not 2xx."""

    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk is told: seconds, connections, the core it may use."""

    seconds: int
    connections: int
    core: int


@dataclass(frozen=True, slots=True)
class Report:
    """What wrk says; `errors` as in Sample."""

    requests: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def measure(pid: int, port: int, load: Load) -> Sample:
    """Loads the proxy `pid` that listens on `port`. Raises CalledProcessError when wrk fails."""
    before = cpu_seconds(pid)
    report = read_report(wrk(port, load))
    cost = cpu_seconds(pid) - before
    return Sample(
        cpu_us=cost * 1e6 / max(report.requests, 1),
        rate=report.rate,
        p50_ms=report.p50_ms,
        p99_ms=report.p99_ms,
        errors=report.errors,
        rss_mb=resident_bytes(pid) / 1e6,
    )


def read_report(text: str) -> Report:
    """wrk's report as values. Raises ValueError when it is none."""
    return Report(
        requests=int(_find(r"(\d+) requests in", text)),
        rate=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50_ms=_milliseconds(_find(r"\n +50%\s+(\S+)", text)),
        p99_ms=_milliseconds(_find(r"\n +99%\s+(\S+)", text)),
        errors=_errors(text),
    )


def wrk(port: int, load: Load) -> str:
    """wrk's report on small GETs over kept-alive connections."""
    command = ["taskset", "--cpu-list", str(load.core), "wrk", "--threads", "1", "--latency"]
    command += ["--connections", str(load.connections), "--duration", f"{load.seconds}s"]
    return subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True
    ).stdout


def canary_share(port: int, requests: int = 400) -> float:
    """The canary's share of some requests over one connection. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        versions = [_version(connection) for _ in range(requests)]
    finally:
        connection.close()
    return versions.count("canary") / requests


def _version(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/")
    answer = connection.getresponse()
    return answer.read().decode().strip()


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """User and system time of the family, dead children that were waited for included (proc(5), stat)."""
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of the family; pages that its members share count for each."""
    return sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) * PAGE for member in family(pid))


def _errors(text: str) -> int:
    """Socket errors and answers other than 2xx and 3xx, both of which wrk reports only when there are any."""
    socket_errors = re.search(r"Socket errors: (.*)", text)
    counts = re.findall(r"\d+", socket_errors[1]) if socket_errors else []
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return sum(map(int, counts)) + (int(refused[1]) if refused else 0)


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"wrk's report has no {pattern}: {text}")
    return match[1]


def _milliseconds(text: str) -> float:
    number, unit = _find(r"^([\d.]+)", text), _find(r"([a-z]+)$", text)
    return float(number) * UNITS_MS[unit]
