"""A real Prometheus on the loopback, which scrapes the admin ports it is given, several times a second.

Data is in memory (/dev/shm) where there is such a place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Process, answers, free_port

INSTALLED = shutil.which("prometheus") is not None
NEEDS_PROMETHEUS = pytest.mark.skipif(not INSTALLED, reason="Prometheus is not installed")


class Prometheus(Process):
    """`url` is what PROMETHEUS_URL is to be."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        file = folder / "prometheus.yml"
        file.write_text(json.dumps(config))  # JSON is YAML
        command = [
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(command, folder / "prometheus.log", ready=answers(f"{self.url}/-/ready"))


@contextmanager
def prometheus(*targets: str, interval: str = "250ms") -> Iterator[Prometheus]:
    """One that scrapes these, `host:port` each, as the job `serin`."""
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [{"job_name": "serin", "static_configs": [{"targets": list(targets)}]}],
    }
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="prometheus-", dir=place) as folder,
        Prometheus(Path(folder), config) as found,
    ):
        yield found
