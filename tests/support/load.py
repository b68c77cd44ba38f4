"""A constant load of small GETs over keep-alive connections, from a process of its own, that misses nothing.

    with Load(stack.address) as load:
        ...
    assert load.result.failures == []

A request is lost when it gets a status other than 200, a reset, or an end before its answer is whole. A
connection that the server closes after an answer with `Connection: close` is no loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from gevent import subprocess

from tests.support.processes import ROOT, python, wait_until


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the requests: `failures` has the texts of the first hundred, `lost` counts them all.

    `versions` counts answers by X-Version, `statuses` by status ("200"). `slowest`: seconds from a request
    to its whole answer, the worst of all.
    """

    requests: int
    lost: int
    connections: int
    slowest: float
    versions: dict[str, int]
    statuses: dict[str, int]
    failures: list[str]


class Load:
    """`clients` keep-alive connections, each asking for `path`, waiting `pause` seconds, and asking again.

    `close`: each request on a new connection instead.
    As a context manager: running inside, with a first answer behind it; `result` is final after.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        clients: int = 64,
        path: str = "/",
        pause: float = 0.0,
        close: bool = False,
    ) -> None:
        host, port = address
        arguments = (host, str(port), path, str(clients), str(pause), *(["close"] if close else []))
        self._command = python("tests.support.visitors", *arguments)
        self._popen: subprocess.Popen[bytes] | None = None
        self._result: Result | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def result(self) -> Result:
        """The final result. Raises AssertionError while the load runs."""
        assert self._result is not None, "the load has not been stopped"
        return self._result

    def start(self) -> None:
        """Starts all clients; returns once a request has ended, well or not."""
        self._popen = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.wait_requests(1)

    def snapshot(self) -> Result:
        """The result so far."""
        _process, questions, answers = self._running()
        questions.write(b"\n")
        questions.flush()
        line = answers.readline()
        assert line, "the process of the load has died"
        return Result(**json.loads(line))

    def wait_requests(self, count: int, deadline: float = 10.0) -> None:
        """Until so many more requests have ended."""
        goal = (self.snapshot().requests if self._popen else 0) + count
        wait_until(lambda: self.snapshot().requests >= goal, deadline, what=f"{count} requests", pause=0.02)

    def stop(self) -> Result:
        """Lets every client finish its request, then ends; the result. Fine to call again."""
        if self._popen is not None:
            process, questions, answers = self._running()
            self._popen = None
            questions.close()  # the sign to end
            last = answers.read()
            answers.close()
            assert process.wait(timeout=30) == 0, "the process of the load has died"
            self._result = Result(**json.loads(last))
        return self.result

    def _running(self) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
        assert self._popen, "not started"
        assert self._popen.stdin
        assert self._popen.stdout
        return self._popen, self._popen.stdin, self._popen.stdout
