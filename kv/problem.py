"""Errors as answers: RFC 9457 problem documents. The one table that turns codes into HTTP statuses."""

from __future__ import annotations

import json

from kv.errors import KvError
from kv.response import Response

PROBLEMS = {
    "bad-request": (400, "The request has no meaning here"),
    "bad-key": (400, "Not a key"),
    "bad-json": (400, "Not a JSON document"),
    "bad-patch": (400, "Not a JSON Patch"),
    "unauthorized": (401, "A token is needed"),
    "forbidden": (403, "Refused"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "test-failed": (409, "A test of the patch failed"),
    "kept": (409, "The key is there to stay"),
    "gone": (410, "No longer kept"),
    "length-required": (411, "A body is required"),
    "precondition-failed": (412, "Precondition failed"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "cannot-apply": (422, "The patch does not fit the document"),
    "bad-schema": (422, "Not a schema"),
    "invalid-document": (422, "The schema forbids this document"),
    "precondition-required": (428, "A condition is needed"),
    "too-many-requests": (429, "Too many writes"),
    "internal": (500, "Internal error"),
    "too-many-watchers": (503, "Too many waiting clients"),
    "unavailable": (503, "The store cannot be written"),
    "outcome-unknown": (504, "It is not known whether the write happened"),
    "full": (507, "No room"),
}
_RETRY_AFTER = {"unavailable": "1", "too-many-watchers": "1"}


def problem(error: KvError) -> Response:
    """The answer to `error`: its members in the document, the ETag in force and its headers beside it."""
    status, title = PROBLEMS[error.code]
    document = {
        "type": f"/problems/{error.code}",
        "title": title,
        "status": status,
        "detail": error.detail,
        **error.members,
    }
    fields = {"Content-Type": "application/problem+json", "Cache-Control": "no-cache"}
    if error.code in _RETRY_AFTER:
        fields["Retry-After"] = _RETRY_AFTER[error.code]
    response = Response(status, fields | error.headers, json.dumps(document).encode() + b"\n")
    if "etag" in error.members:
        response.etag = error.members["etag"]
    return response
