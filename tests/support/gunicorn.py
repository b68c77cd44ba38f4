"""gunicorn with its own gevent worker and config/gunicorn.py, in one process, before one server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.processes import Process, answers, free_port, python


def stock_gunicorn(
    folder: Path, url: str, *, env: Mapping[str, str] | None = None, **config: Any
) -> tuple[Process, int]:
    """The process, not yet started, and its port. `config`: fields of the document, beside the one server.

    There is no config server: the first document is all that it has. The admin endpoints tell when it is ready.
    """
    document = folder / "config.json"
    document.write_text(json.dumps({"stable": {"servers": [{"url": url}]}, **config}))
    port, admin_port = free_port(), free_port()
    environment = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ADMIN_PORT": str(admin_port),
        "CONFIG_SERVER": f"http://127.0.0.1:{free_port()}",
        "CONFIG_FILE": str(document),
        "STATE_DIR": str(folder / "state"),
        **(env or {}),
    }
    command = python("gunicorn", "--config", "config/gunicorn.py", "--worker-class", "gevent")
    ready = answers(f"http://127.0.0.1:{admin_port}/readyz")
    return Process(command, folder / "log", env=environment, ready=ready), port
