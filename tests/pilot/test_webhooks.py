from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
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
    hooks = Webhooks("secret", pause=0.01, clock=count(1.0).__next__)
    with hook(500, 204) as (url, got):
        hooks.tell([url], {"state": "running"})
        wait_until(lambda: len(got) == 2)
        expected = hmac.new(b"secret", got[1].get_data(), hashlib.sha256).hexdigest()
        assert got[1].headers[SIGNATURE] == f"sha256={expected}"
        first, second = (each.get_json() for each in got)
        assert second == first | {"state": "running", "sent": 2.0}
        assert first["sent"] == 1.0
    hooks.stop()


def test_it_is_tried_six_times_ever_further_apart(caplog: pytest.LogCaptureFixture) -> None:
    pauses: list[float] = []
    hooks = Webhooks(None, sleep=pauses.append)
    with hook(500) as (url, got):
        hooks.tell([url], {"state": "done"})
        wait_until(lambda: caplog.messages)
    assert (pauses, len(got)) == ([0.5, 2, 8, 32, 128], 6)
    hooks.stop()


def test_each_event_has_an_id_of_its_own_which_all_receivers_get() -> None:
    hooks = Webhooks(None)
    with hook(204) as (one, got), hook(204) as (other, more):
        for _ in range(2):
            hooks.tell([one, other], {})
        wait_until(lambda: len(got) == len(more) == 2)
    ids = {each.get_json()["event"] for each in got}
    assert len(ids) == 2
    assert {each.get_json()["event"] for each in more} == ids
    hooks.stop()


@pytest.mark.parametrize("place", ["", "/hook?token=hidden"])
@pytest.mark.parametrize("host", ["127.0.0.1:1", f"{'a' * 64}.invalid", "a..b", "[::1]:1"])
def test_who_cannot_be_reached_has_not_confirmed_and_is_not_named(
    host: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Webhooks("secret", pause=0.0)
    assert not hooks.confirmed([f"http://{host}{place}"], {})
    hooks.tell([f"http://{host}{place}"], {"state": "done"})
    wait_until(lambda: caplog.messages)
    assert caplog.messages == ["webhook 1 did not take done"]


def test_all_must_confirm() -> None:
    hooks = Webhooks(None)
    with hook(200) as (yes, got), hook(403) as (no, _):
        assert hooks.confirmed([yes], {})
        assert SIGNATURE not in got[0].headers
        assert not hooks.confirmed([yes, no], {})
        assert not hooks.confirmed([f"http://127.0.0.1:{free_port()}/"], {})
