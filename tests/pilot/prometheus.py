"""Answers of a Prometheus that scrapes instances, and one that gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gevent.pywsgi import WSGIServer
from werkzeug.wrappers import Request, Response

from app.rollout.observed import BARS

Sample = dict[str, Any]


def sample(name: str, value: float | str, **labels: str) -> Sample:
    """As the HTTP API has it."""
    return {"metric": {"__name__": name, **labels}, "value": [1.0, str(value)]}


def samples(
    identity: str, *, at: float = 1.0, requests: int = 10, sticky: int = 0, **scrape: str
) -> list[Sample]:
    """All of one process that has known one ratio, 0.1. `requests`: to each version; `scrape`: labels of the scrape."""

    def one(name: str, value: float, **labels: str) -> Sample:
        return sample(f"serin_observed_{name}", value, id=identity, **labels, **scrape)

    found = [one("at_seconds", at), one("sticky", sticky)]
    for version in ("stable", "canary"):
        place = {"ratio": "0.1", "version": version}
        found += [one("requests_total", requests, **place)]
        found += [one(f"{name}_total", 0, **place) for name in ("aborts", "diverted")]
        found += [one("failures_total", 0, **place, reason="5xx")]
        found += [one("slow_total", 0, **place, bar=bar) for bar in BARS]
    return found


def vector(found: Sequence[Sample]) -> bytes:
    """A whole answer."""
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": list(found)}}).encode()


class Scripted:
    """Answers every query with `status` and `body`; `asked` has the requests."""

    def __init__(self) -> None:
        self.status, self.body = 200, vector([])
        self.asked: list[Request] = []
        self.url = ""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.asked.append(Request(environ))
        return Response(self.body, self.status)(environ, start_response)


@contextmanager
def scripted() -> Iterator[Scripted]:
    app = Scripted()
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    app.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield app
    finally:
        server.stop(timeout=0)
