"""Real processes for tests: start one, wait until it is ready, end it, and end only it.

Knows nothing of what runs; `stack` puts Serin together from it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import gevent
from gevent import socket, subprocess
from requests import Response, Session

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable

Value = TypeVar("Value")

# Where free ports are looked for, as many for each process that runs tests at the same time.
FIRST_PORT, PORTS = 8000, 4900


def _ports() -> Iterator[int]:
    """All of ours in turn: none comes twice while it may still be about to be used."""
    first = FIRST_PORT + PORTS * int(os.environ.get("TEST_SHARE", "1"))
    # By chance of its own: pytest-randomly has every test draw the same numbers.
    return cycle(random.SystemRandom().sample(range(first, first + PORTS), PORTS))


PORTS_IN_TURN = _ports()


def wait_until(
    predicate: Callable[[], Value], deadline: float = 10.0, *, what: str = "", pause: float = 0.005
) -> Value:
    """The first true value of `predicate`, asked every `pause` seconds.

    Raises AssertionError, naming `what` was awaited, when `deadline` seconds pass without one.
    """
    end = time.monotonic() + deadline
    while not (value := predicate()):
        assert time.monotonic() < end, f"not within {deadline} s: {what or predicate}"
        gevent.sleep(pause)
    return value


def free_port() -> int:
    """A TCP port of the loopback that nobody listened on just now.

    Not one that the kernel might give a client meanwhile (it has those from 32768 on), nor one of the tests beside us.
    """
    for port in PORTS_IN_TURN:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the turns never end")


class Process:
    """A command with its own environment and log; may be started again after it ended.

    As a context manager: started and ready inside, gone with all its children after; if the block fails,
    the end of the log is printed. `env` is added to this process's environment. `ready` is asked until it
    says yes; None: ready at once.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], object] | None = None,
        deadline: float = 10.0,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._ready = ready
        self._deadline = deadline
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None and self._popen is not None:
            print(f"--- {' '.join(self.command)}: {self.log}\n{self.tail()}")

    @property
    def pid(self) -> int:
        """The process id. Raises AssertionError when it was never started."""
        assert self._popen is not None, "not started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Starts it, and waits until it is ready; AssertionError with the log's end if it is not in time."""
        assert not self.running, f"runs already: {self.command}"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.wait_ready() if wait else self

    def wait_ready(self) -> Self:
        """Waits until `ready` says yes."""
        try:
            wait_until(self._is_ready, self._deadline, what="ready", pause=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}: {' '.join(self.command)}\n{self.tail()}") from error
        return self

    def _is_ready(self) -> bool:
        assert self.running, "it ended"
        return self._ready is None or bool(self._ready())

    def kill9(self) -> None:
        """SIGKILL to it and its children; returns when it is gone."""
        self._signal_group(signal.SIGKILL)
        self._wait(5.0)

    def terminate(self, deadline: float = 10.0) -> int:
        """SIGTERM; the exit code, negative for a signal. AssertionError if it outlives `deadline`."""
        assert self._popen is not None, "not started"
        self._popen.terminate()
        return self._wait(deadline)

    def send(self, number: signal.Signals) -> None:
        """Any other signal, such as SIGHUP, SIGSTOP or SIGCONT, to it alone."""
        assert self._popen is not None, "not started"
        self._popen.send_signal(number)

    def stop(self) -> None:
        """Ends it and whatever children it left, politely first; fine when it ended before."""
        if self._popen is None:
            return
        try:
            self._popen.terminate()
            self._popen.wait(timeout=5.0)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        finally:
            self.kill9()

    def tail(self, lines: int = 40) -> str:
        """The last lines of its output."""
        return "\n".join(self.output().splitlines()[-lines:])

    def output(self) -> str:
        """All that it has written, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _wait(self, deadline: float) -> int:
        assert self._popen is not None
        try:
            code: int = self._popen.wait(timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"did not end in {deadline} s: {self.command}\n{self.tail()}") from error
        return code

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it and all its children are gone already
            os.killpg(self.pid, number)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this repository under the Python of the tests."""
    return [PYTHON, "-m", module, *arguments]


def answers(url: str, status: int = 200) -> Callable[[], bool]:
    """A `ready` that asks for `url` until the status is this one."""

    def ready() -> bool:
        try:
            return fetch("GET", url, timeout=1.0).status_code == status
        except OSError:
            return False

    return ready


def fetch(method: str, url: str, **arguments: Any) -> Response:
    """`requests.request` that heeds no proxy settings and leaves no connection behind."""
    with Session() as session:
        session.trust_env = False
        arguments.setdefault("timeout", 10.0)
        return session.request(method, url, allow_redirects=False, **arguments)
