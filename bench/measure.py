"""One measurement: load a proxy for some seconds, and see what that cost it.

The cost is CPU time, user and system, of the proxy and all its threads and children; it is taken from the
kernel's accounting just before and just after the load, and divided by the requests answered.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SCRIPT = Path(__file__).parent / "load.lua"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one load of one proxy came to; `errors` counts failed connections and answers that are not 2xx."""

    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    errors: int
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk is told: seconds, connections, the core it may use, and what to ask for.

    `post`: bytes to POST, 0 for a GET. `close`: a new connection for each request. `cookies`: of visitors
    who come in turn.
    """

    seconds: int
    connections: int
    core: int
    path: str = "/"
    post: int = 0
    close: bool = False
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What wrk says; `errors` as in Sample."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    errors: int


def measure(pid: int, port: int, load: Load) -> Sample:
    """Loads the proxy `pid` that listens on `port`. Raises CalledProcessError when wrk fails."""
    before = cpu_seconds(pid)
    report = read_report(wrk(port, load))
    cost = cpu_seconds(pid) - before
    return Sample(
        cpu_us=cost * 1e6 / max(report.requests, 1),
        rate=report.requests / report.seconds,
        p50_ms=report.p50_ms,
        p99_ms=report.p99_ms,
        p999_ms=report.p999_ms,
        errors=report.errors,
        rss_mb=resident_bytes(pid) / 1e6,
    )


def read_report(text: str) -> Report:
    """The line that load.lua ends with, as values. Raises ValueError when there is none."""
    lines = text.splitlines() or [""]
    if not lines[-1].startswith("{"):
        raise ValueError(f"wrk made no report: {text}")
    return Report(**json.loads(lines[-1]))


def wrk(port: int, load: Load) -> str:
    """What wrk prints. Raises CalledProcessError when it cannot connect."""
    command = ["taskset", "--cpu-list", str(load.core), "wrk", "--threads", "1", "--timeout", "10s"]
    command += ["--connections", str(load.connections), "--duration", f"{load.seconds}s"]
    command += ["--script", str(SCRIPT), *(("--header", "Connection: close") if load.close else ())]
    command += [f"http://127.0.0.1:{port}{load.path}", "--", str(load.post), *load.cookies]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def canary_share(port: int, requests: int = 400) -> float:
    """The canary's share of some requests, each of a new visitor. Raises OSError, HTTPException."""
    versions = [visit(port)[0] for _ in range(requests)]
    return versions.count("canary") / requests


def visitors(port: int, count: int = 64) -> tuple[str, ...]:
    """The cookies that so many new visitors are given. Raises OSError, HTTPException."""
    return tuple(visit(port)[1] for _ in range(count))


def visit(port: int, cookie: str = "") -> tuple[str, str]:
    """The version that answers, and the cookie it gives; over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(
            "GET", "/", headers={"Connection": "close"} | ({"Cookie": cookie} if cookie else {})
        )
        answer = connection.getresponse()
        given = answer.getheader("Set-Cookie", "").partition(";")[0]
        return answer.read().decode().strip(), given
    finally:
        connection.close()


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
