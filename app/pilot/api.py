"""The pilot's HTTP API as a WSGI application: a table of routes and what stands behind each."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response

from app.config.path import pointer
from app.errors import (
    CommandRefused,
    ConfigConflict,
    ConfigMissing,
    ConfigServerError,
    InvalidConfig,
    InvalidPlan,
    SerinError,
)
from app.pilot import documents
from app.pilot.answers import Body, as_json, problem
from app.pilot.guard import guard
from app.pilot.pilot import Pilot
from app.pilot.state import shown, state
from app.pilot.static import page
from app.rollout import plan_schema
from app.rollout.situation import Command

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

# The first that fits counts.
_STATUS: tuple[tuple[type[SerinError], int], ...] = (
    (InvalidConfig, 422),
    (InvalidPlan, 422),
    (CommandRefused, 409),
    (ConfigMissing, 404),
    (ConfigServerError, 503),
    (SerinError, 500),
)


class Api:
    """`token` is asked of whoever writes; `names`: see guard."""

    def __init__(self, pilot: Pilot, token: str | None = None, names: Collection[str] = ()) -> None:
        self._pilot = pilot
        self._token = token
        self._names = frozenset(names)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """WSGI (PEP 3333)."""
        response = self._answer(Body(environ))
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response(environ, start_response)

    def _answer(self, request: Body) -> Response:
        try:
            guard(request, self._token, self._names)
            return self._endpoint(request)(self, request)
        except HTTPException as refusal:
            return problem(refusal.code or 500, refusal.description or "", dict(refusal.get_headers()[1:]))
        except (InvalidConfig, InvalidPlan) as invalid:
            faults = [{"pointer": pointer(at), "detail": why} for at, why in invalid.faults.items()]
            return problem(422, str(invalid), errors=faults)
        except ConfigConflict as conflict:
            return problem(409, str(conflict), etag=conflict.etag)
        except SerinError as error:
            return problem(next(code for kind, code in _STATUS if isinstance(error, kind)), str(error))
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return problem(500, "the pilot is at fault; its log says why")

    @staticmethod
    def _endpoint(request: Body) -> Endpoint:
        path = "/page/" if request.path.startswith("/page/") else request.path
        methods = ROUTES.get(path)
        if methods is None:
            raise NotFound("not here; there is " + ", ".join(ROUTES))
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            raise MethodNotAllowed(tuple(methods), f"the methods here are {', '.join(methods)}")
        return methods[method]

    def state(self, request: Body) -> Response:
        """Everything."""
        return as_json(state(self._pilot))

    def trail(self, request: Body) -> Response:
        """How the evidence of the rollout came to be."""
        trail = self._pilot.trail
        return as_json({"rollout": trail.rollout, "points": trail.points})

    def verdict(self, request: Body) -> Response:
        """The verdict on the canary, null while there is none."""
        return as_json(state(self._pilot)["verdict"])

    def events(self, request: Body) -> Response:
        """The state as server-sent events, at every look and every change."""
        response = Response(self._stream(), content_type="text/event-stream")
        response.headers["X-Accel-Buffering"] = "no"
        return response

    def _stream(self) -> Iterator[bytes]:
        yield b"retry: 1000\n\n"
        while True:
            yield b"event: state\ndata: " + json.dumps(state(self._pilot)).encode() + b"\n\n"
            if not self._pilot.view.changed.wait(10.0):
                yield b": still here\n\n"

    def begin(self, request: Body) -> Response:
        """Start a rollout with a plan; without a body, with the default one."""
        plan = plan_schema.parse(request.json() or b"{}")
        return as_json(shown(self._pilot.begin(plan, request.author)), 201)

    def command(self, request: Body) -> Response:
        """One of Command, named by the path."""
        command = Command(request.path.removeprefix("/"))
        return as_json(shown(self._pilot.command(command, request.author)))

    def put_config(self, request: Body) -> Response:
        """See documents."""
        return documents.put(self._pilot, request)

    def patch_config(self, request: Body) -> Response:
        """See documents."""
        return documents.patch(self._pilot, request)

    def history(self, request: Body) -> Response:
        """See documents."""
        return documents.history(self._pilot, request)

    def page(self, request: Body) -> Response:
        """The dashboard, and each of its files."""
        return page(request)

    def alive(self, request: Body) -> Response:
        """The process serves."""
        return as_json({"status": "ok"})


Endpoint = Callable[[Api, Body], Response]
ROUTES: dict[str, dict[str, Endpoint]] = {
    "/": {"GET": Api.page},
    "/page/": {"GET": Api.page},
    "/state": {"GET": Api.state},
    "/events": {"GET": Api.events},
    "/verdict": {"GET": Api.verdict},
    "/trail": {"GET": Api.trail},
    "/config": {"PUT": Api.put_config, "PATCH": Api.patch_config},
    "/config/history": {"GET": Api.history},
    "/rollout": {"POST": Api.begin},
    **{f"/{command}": {"POST": Api.command} for command in Command},
    "/healthz": {"GET": Api.alive},
}
