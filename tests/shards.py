"""All tests on all cores: as many pytest processes as cores, each with a share of the tests.

    python -m tests.shards [arguments of pytest]

A test always falls to the same share. What the first process says is shown as it comes, what the others say when they
have ended. pytest-xdist is of no use here: gevent's patches and its worker processes do not go together.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from _pytest.config import ExitCode

# Much is started and waited for, so more processes than cores would only be in each other's way.
MOST = 4


def start(share: int, shares: int, arguments: list[str], output: Path | None) -> subprocess.Popen[bytes]:
    """One of the processes; without `output` it says everything at once."""
    command = [sys.executable, "-m", "pytest", f"--share={share}/{shares}", *arguments]
    env = os.environ | {"TEST_SHARE": str(share)}
    if output is None:
        return subprocess.Popen(command, env=env)
    with output.open("wb") as file:
        return subprocess.Popen(command, env=env, stdout=file, stderr=subprocess.STDOUT)


def main(arguments: list[str]) -> int:
    """The exit code of pytest, were all in one process."""
    shares = min(len(os.sched_getaffinity(0)), MOST)
    with TemporaryDirectory() as folder:
        outputs = [None, *(Path(folder) / str(share) for share in range(2, shares + 1))]
        running = [start(share, shares, arguments, output) for share, output in enumerate(outputs, 1)]
        codes = [process.wait() for process in running]
        for output in filter(None, outputs):
            print(output.read_text(errors="replace"), flush=True)
    failed = [code for code in codes if code not in (ExitCode.OK, ExitCode.NO_TESTS_COLLECTED)]
    return max(failed, default=min(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
