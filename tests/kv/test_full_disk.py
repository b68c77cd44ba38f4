"""The process on a file system that has no room: it refuses writes, serves reads, and goes on when there is some."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress

import pytest

from tests.support.kv_process import KvProcess
from tests.support.processes import fetch

LARGE = b'"%b"' % (b"x" * 300_000)


@contextmanager
def small_disk(folder):
    """A file system of 2 MiB in `folder`; the test is skipped, not in silence, where none may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(
            f"NOT TESTED: a config server on a full disk, for want of the right to mount: {done.stderr.strip()}"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path):
    """Until there is no room for one more page."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.end_to_end
def test_a_disk_that_is_full_and_then_is_not(tmp_path):
    with (
        small_disk(tmp_path / "disk") as disk,
        KvProcess(tmp_path, KV_STORE=f"sqlite:///{disk / 'kv.db'}") as kv,
    ):
        url = f"{kv.url}/v1/kv"
        assert fetch("PUT", f"{url}/a", data=b"1").status_code == 201
        ballast = disk / "ballast"
        fill(ballast)
        full = fetch("PUT", f"{url}/b", data=LARGE)
        assert (full.status_code, full.json()["type"]) == (507, "/problems/full")
        assert fetch("GET", f"{url}/a").content == b"1"
        assert fetch("GET", f"{url}/a?history=9").json()["versions"][0]["revision"] == 1
        assert fetch("GET", f"{url}/b").status_code == 404
        ballast.unlink()
        assert fetch("PUT", f"{url}/b", data=LARGE).json()["revision"] == 2
        kv.kill9()
        again = kv.start()
        assert fetch("GET", f"{again.url}/v1/kv/b").content == LARGE
