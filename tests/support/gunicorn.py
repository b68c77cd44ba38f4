"""gunicorn with its own gevent worker, in one process before one server; and what becomes of a request in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import Process, answers, free_port, python

_CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")
_MADE_ID = re.compile(rb"[0-9a-f]{12}-[0-9a-f]+|\{id\}")

# The gateway's word about the client is the same for every front; gunicorn meets expectations itself.
_NOT_COMPARED = (b"x-forwarded-", b"forwarded", b"via", b"expect", b"{")


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


class Folded(NamedTuple):
    """A request as far as it survives the environ: names in any case, fields of one name in one."""

    line: bytes
    fields: dict[bytes, bytes]
    body: bytes


def folded(request: bytes) -> Folded:
    head, _, body = request.partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    fields: dict[bytes, bytes] = {}
    for field in rest:
        name, _, value = field.partition(b":")
        key = name.lower()
        if key.startswith(_NOT_COMPARED):
            continue
        before = fields[key] + (b"; " if key == b"cookie" else b",") if key in fields else b""
        fields[key] = (before + value.strip(b" \t")).rstrip()
    if _MADE_ID.fullmatch(fields.get(b"x-request-id", b"")):
        del fields[b"x-request-id"]
    return Folded(line, fields, unchunked(body) if b"transfer-encoding" in fields else body)


def unchunked(body: bytes) -> bytes:
    payload, at = b"", 0
    while line := _CHUNK.match(body, at):
        size = int(line[1], 16)
        payload += body[line.end() : line.end() + size]
        at = line.end() + size + 2
    return payload
