"""The admin endpoints as a WSGI application: a table of paths and what stands behind each.

Reads only, and knows nothing of the server around it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder
from werkzeug.wrappers import Request, Response

from app.admin.figures import Figures
from app.admin.live import Live, View
from app.admin.metrics import Metrics
from app.admin.report import unready
from app.admin.status import status

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD")


class AdminApp:
    """`live` knows this process, `figures` the whole service."""

    def __init__(self, live: Live, figures: Figures) -> None:
        self._live = live
        self._figures = figures

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        response = self._answer(Request(environ))
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        endpoint = ROUTES.get(request.path)
        if endpoint is None:
            return _text(404, "not here; there is\n" + "\n".join(ROUTES))
        if request.method not in METHODS:
            refusal = _text(405, f"{request.path} can only be read")
            refusal.headers["Allow"] = ", ".join(METHODS)
            return refusal
        try:
            return endpoint(self, request)
        except Exception:
            log.exception("%s could not be shown", request.path)
            return _text(500, "Serin is at fault; its log says why")

    def status(self, _request: Request) -> Response:
        """Everything, for people and programs."""
        text = json.dumps(status(self._view()), indent=2, ensure_ascii=False, allow_nan=False)
        return Response(f"{text}\n", content_type="application/json")

    def metrics(self, request: Request) -> Response:
        """For Prometheus, in the format it prefers."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(Metrics(self._view())), content_type=content_type)

    def healthz(self, _request: Request) -> Response:
        """200 as long as this process serves at all."""
        return _text(200, "ok")

    def readyz(self, _request: Request) -> Response:
        """200 while the service wants requests, else 503 and why not."""
        problem = unready(self._figures.report()["workers"])
        return _text(503, problem) if problem else _text(200, "ready")

    def _view(self) -> View:
        report = self._figures.report()
        return View(report, self._live.config, self._live.state(), self._live.now())


ROUTES: dict[str, Callable[[AdminApp, Request], Response]] = {
    "/status": AdminApp.status,
    "/metrics": AdminApp.metrics,
    "/healthz": AdminApp.healthz,
    "/readyz": AdminApp.readyz,
}


def _text(code: int, text: str) -> Response:
    return Response(f"{text}\n", code, content_type="text/plain; charset=utf-8")
