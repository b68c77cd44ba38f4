"""A process beside the test that is asked how it fares: each line on its input it answers by a line of JSON.

The end of its input is the sign to end; what it prints last is its last report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any, Self

from gevent import subprocess

from tests.support.processes import ROOT


class Reporter:
    """As a context manager: running inside, ended after; `last` is its last report."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._popen: subprocess.Popen[bytes] | None = None
        self.last: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._popen = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ask(self) -> dict[str, Any]:
        """Its report as of now. Raises AssertionError when it has died."""
        questions, answers = self._pipes()
        questions.write(b"\n")
        questions.flush()
        line = answers.readline()
        assert line, f"has died: {self._command}"
        report: dict[str, Any] = json.loads(line)
        return report

    def stop(self) -> dict[str, Any]:
        """Ends it; its last report. Fine to call again."""
        if self._popen is not None:
            popen, (questions, answers) = self._popen, self._pipes()
            self._popen = None
            questions.close()
            last = answers.read()
            answers.close()
            assert popen.wait(timeout=30) == 0, f"has died: {self._command}"
            self.last = json.loads(last)
        return self.last

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._popen, "not started"
        assert self._popen.stdin
        assert self._popen.stdout
        return self._popen.stdin, self._popen.stdout
