"""The pilot's HTTP API as a WSGI application: a table of routes and what stands behind each."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

from app.config.keys import Write
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
from app.pilot.adoption import await_adoption
from app.pilot.guard import guard
from app.pilot.pilot import Pilot
from app.pilot.state import state
from app.rollout import journal, plan_schema
from app.rollout.situation import Command

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_LONGEST_WAIT = 60.0
# The first that fits counts.
_STATUS: tuple[tuple[type[SerinError], int], ...] = (
    (InvalidConfig, 422),
    (InvalidPlan, 422),
    (ConfigConflict, 409),
    (CommandRefused, 409),
    (ConfigMissing, 404),
    (ConfigServerError, 503),
    (SerinError, 500),
)


class Body(Request):
    """A request whose body is never a form."""

    max_content_length = 512 * 1024

    def json(self) -> bytes:
        """The raw bytes."""
        return self.get_data(cache=False, parse_form_data=False)


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
        return response(environ, start_response)

    def _answer(self, request: Body) -> Response:
        try:
            guard(request, self._token, self._names)
            return self._endpoint(request)(self, request)
        except HTTPException as refusal:
            return _problem(refusal.code or 500, refusal.description or "", dict(refusal.get_headers()[1:]))
        except (InvalidConfig, InvalidPlan) as invalid:
            faults = [{"pointer": pointer(at), "detail": why} for at, why in invalid.faults.items()]
            return _problem(422, str(invalid), errors=faults)
        except SerinError as error:
            return _problem(next(code for kind, code in _STATUS if isinstance(error, kind)), str(error))
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return _problem(500, "the pilot is at fault; its log says why")

    @staticmethod
    def _endpoint(request: Body) -> Endpoint:
        methods = ROUTES.get(request.path)
        if methods is None:
            raise NotFound("not here; there is " + ", ".join(ROUTES))
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            raise MethodNotAllowed(tuple(methods), f"the methods here are {', '.join(methods)}")
        return methods[method]

    def state(self, request: Body) -> Response:
        """Everything."""
        return _json(state(self._pilot))

    def verdict(self, request: Body) -> Response:
        """The verdict on the canary, null while there is none."""
        return _json(state(self._pilot)["verdict"])

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

    def put_config(self, request: Body) -> Response:
        """A whole config document, in place of the one in `If-Match` or the present one."""
        began, wait = time.monotonic(), _seconds(request.args.get("wait", "0"))
        pilot = self._pilot
        etags = request.if_match.as_set()
        stored = pilot.editor.read()[0]
        how = Write(
            min(etags, default=stored.etag), author=_who(request), note=request.headers.get("X-Note", "")
        )
        written = pilot.editor.replace(request.json(), how)
        told: dict[str, Any] = {"etag": written.etag, "revision": written.revision}
        if not wait:
            return _json(told | {"changed": written.changed})
        found = await_adoption(pilot.keys, pilot.service, written, since=began, seconds=wait)
        laggards = [{"id": each.id, "name": each.name, "why": each.why} for each in found.laggards]
        told |= {"detail": str(found), "instances": found.instances, "laggards": laggards}
        return _json(told | {"seconds": found.seconds}, 200 if found.complete else 202)

    def begin(self, request: Body) -> Response:
        """Start a rollout with a plan; without a body, with the default one."""
        plan = plan_schema.parse(request.json() or b"{}")
        return _json(journal.dump(self._pilot.begin(plan, _who(request))), 201)

    def command(self, request: Body) -> Response:
        """One of Command, named by the path."""
        command = Command(request.path.removeprefix("/"))
        return _json(journal.dump(self._pilot.command(command, _who(request))))

    def alive(self, request: Body) -> Response:
        """The process serves."""
        return _json({"status": "ok"})


Endpoint = Callable[[Api, Body], Response]
ROUTES: dict[str, dict[str, Endpoint]] = {
    "/state": {"GET": Api.state},
    "/events": {"GET": Api.events},
    "/verdict": {"GET": Api.verdict},
    "/config": {"PUT": Api.put_config},
    "/rollout": {"POST": Api.begin},
    **{f"/{command}": {"POST": Api.command} for command in Command},
    "/healthz": {"GET": Api.alive},
}


def _who(request: Body) -> str:
    return request.headers.get("X-Author", "") or "somebody"


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)(ms|s|)", text)
    if match is None:
        raise BadRequest("wait is a duration such as 2s or 500ms, at most 60s")
    return min(float(match[1]) / (1000 if match[2] == "ms" else 1), _LONGEST_WAIT)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value) + "\n", status, content_type="application/json")


def _problem(status: int, detail: str, headers: dict[str, str] | None = None, **members: Any) -> Response:
    """RFC 9457."""
    body = json.dumps({"status": status, "detail": detail, **members}) + "\n"
    return Response(body, status, headers, content_type="application/problem+json")
