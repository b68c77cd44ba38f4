"""An HTTP answer, and how a WSGI server is given it (PEP 3333). Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.http import http_date

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """`fields` are the header's. A `body` that comes piece by piece is closed at the end, if it can be."""

    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""

    @property
    def etag(self) -> str | None:
        """Without its quotes."""
        quoted = self.fields.get("ETag")
        return quoted and quoted[1:-1]

    @etag.setter
    def etag(self, etag: str) -> None:
        self.fields["ETag"] = f'"{etag}"'

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        blocks = (self.body,) if isinstance(self.body, bytes) else self.body
        if isinstance(self.body, bytes) and self.status != 304:
            self.fields["Content-Length"] = str(len(self.body))
        start_response(_STATUS_LINES[self.status], list(self.fields.items()))
        if environ["REQUEST_METHOD"] != "HEAD":
            return blocks
        if hasattr(blocks, "close"):
            blocks.close()
        return ()


@lru_cache(maxsize=1024)
def date(seconds: int) -> str:
    """A moment since the epoch, as header fields have it (RFC 9110, 5.6.7)."""
    return http_date(seconds)
