"""What the pilot's API takes in and gives out, whichever part of it answers."""

from __future__ import annotations

import json
import re
from typing import Any

from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Request, Response

_LONGEST_WAIT = 60.0


class Body(Request):
    """A request whose body is never a form."""

    max_content_length = 512 * 1024

    def json(self) -> bytes:
        """The raw bytes."""
        return self.get_data(cache=False, parse_form_data=False)

    def told(self, header: str) -> str:
        """A header's text in UTF-8, as browsers and curl can be made to send it; WSGI reads Latin-1 (PEP 3333)."""
        return self.headers.get(header, "").encode("latin-1").decode(errors="replace")

    @property
    def author(self) -> str:
        """Who asks, as far as it is told."""
        return self.told("X-Author") or "somebody"


def as_json(value: Any, status: int = 200) -> Response:
    """A value and a status."""
    return Response(json.dumps(value) + "\n", status, content_type="application/json")


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **members: Any) -> Response:
    """RFC 9457."""
    body = json.dumps({"status": status, "detail": detail, **members}) + "\n"
    return Response(body, status, headers, content_type="application/problem+json")


def seconds(text: str) -> float:
    """A `wait`. Raises BadRequest."""
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)(ms|s|)", text)
    if match is None:
        raise BadRequest("wait is a duration such as 2s or 500ms, at most 60s")
    return min(float(match[1]) / (1000 if match[2] == "ms" else 1), _LONGEST_WAIT)
