from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent.pywsgi import WSGIServer
from werkzeug.wrappers import Request, Response

from app.pilot.webhooks import SIGNATURE, Webhooks
from tests.support.processes import free_port, wait_until


@contextmanager
def hook(*statuses: int) -> Iterator[tuple[str, list[Request]]]:
    """Answers with these, the last of them again and again."""
    got: list[Request] = []

    def serve(environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        request.get_data()
        got.append(request)
        return Response(status=statuses[min(len(got), len(statuses)) - 1])(environ, start_response)

    server = WSGIServer(("127.0.0.1", 0), serve, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.stop(timeout=0)


def test_what_is_told_is_signed_and_told_again_until_it_is_taken() -> None:
    hooks = Webhooks("secret", pause=0.01)
    with hook(500, 204) as (url, got):
        hooks.tell([url], {"state": "running"})
        wait_until(lambda: len(got) == 2)
        expected = hmac.new(b"secret", got[1].get_data(), hashlib.sha256).hexdigest()
        assert got[1].headers[SIGNATURE] == f"sha256={expected}"
        assert got[1].get_json() == {"state": "running"}
    hooks.stop()


def test_all_must_confirm() -> None:
    hooks = Webhooks(None)
    with hook(200) as (yes, got), hook(403) as (no, _):
        assert hooks.confirmed([yes], {})
        assert SIGNATURE not in got[0].headers
        assert not hooks.confirmed([yes, no], {})
        assert not hooks.confirmed([f"http://127.0.0.1:{free_port()}/"], {})
