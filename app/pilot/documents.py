"""The part of the pilot's API that reads and writes the config document."""

from __future__ import annotations

import time
from typing import Any

from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from app.config.keys import Write, Written
from app.config.merge import merged
from app.config.strict_json import loads
from app.pilot.adoption import await_adoption
from app.pilot.answers import Body, as_json, seconds
from app.pilot.pilot import Pilot

_MOST_VERSIONS = 100


def put(pilot: Pilot, request: Body) -> Response:
    """A whole document, or with `from` one of the history, in place of the one in `If-Match` or the present one."""
    if "from" in request.args:
        return _restore(pilot, request)
    began = time.monotonic()
    etag = _condition(request) or pilot.editor.read()[0].etag
    how = Write(etag, author=request.author, note=request.told("X-Note"))
    return _adopted(pilot, request, pilot.editor.replace(request.json(), how), began)


def patch(pilot: Pilot, request: Body) -> Response:
    """Some members of it, by a merge patch (RFC 7396)."""
    began = time.monotonic()
    changes = _object(request.json())

    def edit(document: dict[str, Any]) -> None:
        after = merged(document, changes)
        document.clear()
        document.update(after)

    etag, note = _condition(request), request.told("X-Note")
    change = pilot.editor.change(edit, request.author, note, etag)
    return _adopted(pilot, request, change.written, began)


def history(pilot: Pilot, request: Body) -> Response:
    """Its versions, the newest first."""
    text = request.args.get("count", "20")
    if not (text.isdecimal() and 1 <= len(text) <= 3 and 1 <= int(text) <= _MOST_VERSIONS):
        raise BadRequest(f"count is a number from 1 to {_MOST_VERSIONS}")
    return as_json({"versions": pilot.history.versions(int(text))})


def _restore(pilot: Pilot, request: Body) -> Response:
    began, revision = time.monotonic(), request.args["from"]
    if not (revision.isdecimal() and revision.isascii() and len(revision) < 19):
        raise BadRequest("from is a revision of the history")
    note = request.told("X-Note") or f"back to revision {revision}"
    change = pilot.editor.restore(int(revision), request.author, note, _condition(request))
    return _adopted(pilot, request, change.written, began)


def _condition(request: Body) -> str | None:
    return min(request.if_match.as_set(), default=None)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        changes = loads(raw)
    except ValueError as fault:
        raise BadRequest(f"the merge patch is not JSON: {fault}") from None
    if not isinstance(changes, dict):
        raise BadRequest("a merge patch of a config is a JSON object")
    return changes


def _adopted(pilot: Pilot, request: Body, written: Written, began: float) -> Response:
    """What was written, and by whom it is applied, as far as `wait` says to wait for that."""
    wait = seconds(request.args.get("wait", "0"))
    told: dict[str, Any] = written._asdict()
    if not wait:
        return as_json(told)
    found = await_adoption(pilot.keys, pilot.service, written, since=began, seconds=wait)
    laggards = [{"id": each.id, "name": each.name, "why": each.why} for each in found.laggards]
    told |= {"detail": str(found), "instances": found.instances, "laggards": laggards}
    return as_json(told | {"seconds": found.seconds}, 200 if found.complete else 202)
