"""New code and new servers while clients are served: what is lost of their requests.

Real processes. Half of the clients keep their connections, the others take a new one for each request.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.failing import serving, site
from bench.findings import Finding
from tests.support.load import Load
from tests.support.processes import Process, fetch, free_port, wait_until
from tests.support.stack import Stack

KEPT, NEW = 32, 16
# Between an answer and the next request, in seconds: new processes need their part of the machine.
PAUSE = 0.01
# A renewal has so many seconds.
PATIENCE = 60.0

SHARED = {"REUSE_PORT": "on"}


@contextmanager
def clients(stack: Stack) -> Iterator[tuple[Load, Load]]:
    """Of both kinds."""
    with (
        Load(stack.address, clients=KEPT, pause=PAUSE) as kept,
        Load(stack.address, clients=NEW, pause=PAUSE, close=True) as new,
    ):
        yield kept, new


def finding(what: str, loads: tuple[Load, Load]) -> Finding:
    """Nothing may be lost."""
    lost, requests = (sum(getattr(load.result, name) for load in loads) for name in ("lost", "requests"))
    failures = [text.splitlines()[0] for load in loads for text in load.result.failures]
    told = f", first {failures[0]}" if failures else ""
    return Finding(what, "none lost", f"{lost} of {requests:,} requests lost{told}", lost == 0)


def takeovers(times: int, folder: Path) -> Finding:
    """A next process on the same port; the one before it is told to go once it serves."""
    with Stack(folder, env=SHARED) as stack:
        with clients(stack) as loads:
            for number in range(times):
                successor = stack.proxy(f"web-{number}", "fast_lane", stack.port, free_port(), SHARED)
                former, stack.web = stack.web, _serving(successor)
                assert former.terminate() == 0
                loads[0].wait_requests(200)
        return finding(
            f"{times} times another `python -m app` takes over the port, TERM to the former", loads
        )


def _serving(process: Process) -> Process:
    process.start()
    wait_until(lambda: "serving on" in process.output(), what="another process", pause=0.02)
    return process


def renewals(front: str, workers: int, times: int, folder: Path) -> Finding:
    """gunicorn's workers make place for others."""
    with Stack(folder, front=front, workers=workers) as stack:
        with clients(stack) as loads:
            for _ in range(times):
                renew(stack)
                loads[0].wait_requests(200)
        name = {"worker": "app.worker.Worker", "stock": "gevent"}[front]
        return finding(f"{times} times HUP to `gunicorn -k {name} -w {workers}`", loads)


def renew(stack: Stack) -> None:
    """HUP; until none is left of the workers that there were."""
    before = _workers(stack)
    stack.web.send(signal.SIGHUP)
    wait_until(lambda: not _workers(stack) & before, PATIENCE, what="other workers", pause=0.1)


def _workers(stack: Stack) -> set[int]:
    """Those that serve now."""
    status = fetch("GET", f"{stack.admin_url}/status").json()
    return {worker["pid"] for worker in status["workers"]}


def changes(times: int, folder: Path) -> Finding:
    """A server is added or removed, each change in force before the next."""
    with site(folder) as here:
        one, two = ({"stable": serving(*here.stable[:count])} for count in (2, 3))
        with clients(here.stack) as loads:
            for number in range(times):
                etag = here.stack.patch_config(two if number % 2 else one)["etag"]
                here.stack.wait_in_force(etag)
        counts = [server.served() for server in here.stable]
        assert min(counts), "one has never served"
        return finding(f"{times} times a server removed or added, each in force", loads)
