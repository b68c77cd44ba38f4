"""The head of an HTTP/1.1 request, from bytes to values (RFC 9112), strict where laxness has let requests be smuggled.

Pure. gevent's own parser accepts much that is refused here: two lengths, odd codings, folded lines, a missing Host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
# RFC 9112, 3. The target is any run of visible characters here; the paths behind it have their own grammar.
_REQUEST_LINE = re.compile(rb"([%s]{1,32}) ([!-~]+) HTTP/(1\.[01])" % _TCHAR)
# RFC 9110, 5.1 and 5.5. No space before the colon, no folded lines, no controls.
_FIELD = re.compile(rb"([%s]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)" % _TCHAR)
# What can still become a request line; anything else need not be waited for.
_BEGINNING = re.compile(rb"(?:\r?\n)?(?:[%s]{0,32}|[%s]{1,32} .*)" % (_TCHAR, _TCHAR), re.DOTALL)
# RFC 9112, 3.2.2: a server accepts the absolute form, whose authority then stands for the Host.
_ABSOLUTE = re.compile(r"https?://([^/?#]+)(/.*|\?.*)?", re.IGNORECASE)
_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_FIELDS = 100


class BadHead(ValueError):
    """A head that is refused with `status`; the connection cannot be used further."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Head:
    """`fields` have lower-case names; of a repeated field the values are joined with commas (RFC 9110, 5.3).

    `length` None: no Content-Length. `closes`: the connection ends with this exchange.
    """

    method: str
    target: str
    version: str
    fields: dict[str, str]
    length: int | None
    chunked: bool
    closes: bool

    @property
    def expects_continue(self) -> bool:
        return self.version == "1.1" and self.fields.get("expect", "").lower() == "100-continue"


def can_begin(data: bytes) -> bool:
    """Whether a request may begin with these bytes; TLS, for one, does not look like one from its first byte."""
    return _BEGINNING.fullmatch(data) is not None


def ends(data: bytes) -> tuple[int, int]:
    """Where the lines of a head that is whole in `data` end, and where the empty line behind them; else 0, 0."""
    found = None if data[:1] in (b"\r", b"\n") else _END.search(data)  # an empty line before is not its end
    return (found.start() + 1, found.end()) if found else (0, 0)


def parse(raw: bytes) -> Head:
    """The head in `raw`, lines ended by CRLF or LF, without the empty line. Raises BadHead."""
    first, _, lines = raw.replace(b"\r\n", b"\n").partition(b"\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise BadHead(400, "this is not an HTTP/1.1 request")
    method, target, version = (part.decode("ascii") for part in match.groups())
    fields = dict(_fields(lines))
    target = _origin_form(target, fields)
    if version == "1.1" and "host" not in fields:
        raise BadHead(400, "the Host is missing")
    length, chunked = _framing(version, fields)
    closes = version == "1.0" or "close" in _members(fields.get("connection", ""))
    return Head(method, target, version, fields, length, chunked, closes)


@lru_cache(maxsize=128)
def variable(field: str) -> str:
    """The name that a header field has in the environment of a WSGI application (PEP 3333)."""
    name = field.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


@lru_cache(maxsize=64)  # a client mostly repeats its lines
def _fields(raw: bytes) -> dict[str, str]:
    lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
    if len(lines) > _FIELDS:
        raise BadHead(431, f"more than {_FIELDS} header fields")
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadHead(400, "a header field is malformed")
        name = match[1].decode("ascii").lower()
        value = match[2].rstrip(b" \t").decode("latin-1")
        if name in fields and name in ("host", "content-length", "transfer-encoding"):
            raise BadHead(400, f"two {name} fields")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _origin_form(target: str, fields: dict[str, str]) -> str:
    if target.startswith("/") or target == "*":
        return target
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadHead(400, "the request target is neither a path nor an http URL")
    fields["host"] = match[1]
    path = match[2] or "/"
    return path if path.startswith("/") else "/" + path


def _framing(version: str, fields: dict[str, str]) -> tuple[int | None, bool]:
    """RFC 9112, 6.3, without its leniencies: length and coding are never both given."""
    length, coding = fields.get("content-length"), fields.get("transfer-encoding")
    if coding is not None and (length is not None or version == "1.0"):
        raise BadHead(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
    if coding is not None and coding.lower() != "chunked":
        raise BadHead(501, "the only transfer coding here is chunked")
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadHead(400, "Content-Length is not a number")
    return (None if length is None else int(length)), coding is not None


def _members(value: str) -> list[str]:
    return [member.strip().lower() for member in value.split(",")]
