"""What a request asks for: its parameters, conditions, body and signature, checked and as values.

Everything raised here is a KvError that says what would have been allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from werkzeug.datastructures import ETags, MIMEAccept
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.http import parse_accept_header, parse_etags
from werkzeug.wrappers import Request

from kv.caller import EVERYONE, Caller
from kv.engine.base import Limits
from kv.errors import BadRequest, LengthRequired, TooLarge, UnsupportedMediaType
from kv.head import variable
from kv.model import MAX_TTL, MIN_TTL, NO_ETAG, Condition, Meta, check_key

MAX_BODY = Limits().value_bytes
MAX_WAIT = 60.0
PAGE = 1_000
HISTORY = 100
JSON, EVENT_STREAM = "application/json", "text/event-stream"
JSON_PATCH = "application/json-patch+json"
PATCH_TYPES = ("application/merge-patch+json", JSON, JSON_PATCH)
# curl -d says it sends a form; who sends no type at all means the default too.
_READ_AS_PATCHES = frozenset({*PATCH_TYPES, "application/x-www-form-urlencoded", ""})
_AUTHOR_BYTES, _NOTE_BYTES = 256, 1024
_TOO_LARGE = f"a body may have {MAX_BODY} bytes"


class Asked(Request):
    """A request whose body is read only up to the limit, and never as a form. `caller` is whoever was admitted."""

    caller: Caller = EVERYONE
    max_content_length = MAX_BODY + 1  # one more: Werkzeug cuts a chunked body off there without a word

    def field(self, name: str) -> str | None:
        """A header field as it came, its bytes as Latin-1; None if it was not sent."""
        return self.environ.get(variable(name))


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError(text)
    return float(text)


def _wait(text: str) -> float:
    return min(_seconds(text), MAX_WAIT)


def _ttl(text: str) -> float:
    seconds = _seconds(text)
    if not MIN_TTL <= seconds <= MAX_TTL:
        raise ValueError(text)
    return seconds


def _revision(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(text)
    return int(text)


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = min(_revision(text), most)
        if number < 1:
            raise ValueError(text)
        return number

    return read


def _flag(text: str) -> bool:
    return {"": True, "1": True, "true": True, "0": False, "false": False}[text]


_PARAMETERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "wait": (_wait, f"seconds, at most {MAX_WAIT:.0f}"),
    "ttl": (_ttl, f"seconds, from {MIN_TTL:.0f} to {MAX_TTL:.0f}"),
    "rev": (_revision, "a revision"),
    "from": (_revision, "a revision"),
    "history": (_count(HISTORY), "a number of versions from 1"),
    "limit": (_count(PAGE), "a number of keys from 1"),
    "after": (check_key, "a key"),
    "values": (_flag, "nothing, true or false"),
}


def parameters(request: Asked, *allowed: str) -> dict[str, Any]:
    """The query's parameters as values. Raises BadRequest for any that is not allowed, malformed or repeated."""
    values: dict[str, Any] = {}
    for name, texts in request.args.lists() if request.query_string else ():
        if name not in allowed or len(texts) > 1:
            raise BadRequest(_allowed(name, allowed))
        read, meaning = _PARAMETERS[name]
        try:
            values[name] = read(texts[0])
        except (ValueError, KeyError):
            raise BadRequest(f"{name} is {meaning}") from None
    return values


def _allowed(name: str, allowed: tuple[str, ...]) -> str:
    if name in allowed:
        return f"{name} may be given once"
    listed = "; ".join(f"{known}: {_PARAMETERS[known][1]}" for known in allowed)
    return f"unknown parameter here; known are {listed}" if listed else "no parameters are known here"


def alone(values: Mapping[str, Any], *exclusive: str) -> None:
    """Raises BadRequest if two of `exclusive` were given."""
    given = [name for name in exclusive if name in values]
    if len(given) > 1:
        raise BadRequest(f"{' and '.join(given)} cannot be combined")


def conditions(request: Asked, key: str) -> list[Condition]:
    """If-Match (compared strongly) and If-None-Match (weakly): RFC 9110, sections 13.1.1 and 13.1.2."""
    found = []
    required, excluded = _etags(request, "If-Match"), _etags(request, "If-None-Match")
    if required is not None:
        strong = frozenset(required.as_set())
        found.append(Condition(key, None if required.star_tag else strong))
    if excluded is not None:
        either = frozenset(excluded.as_set(include_weak=True))
        found.append(Condition(key, None if excluded.star_tag else either, wanted=False))
    return found


def no_conditions(request: Asked) -> None:
    """Raises BadRequest if the headers have any."""
    if has_conditions(request):
        raise BadRequest("here conditions are part of the body")


def has_conditions(request: Asked) -> bool:
    """Whether the headers have any."""
    return request.field("If-Match") is not None or request.field("If-None-Match") is not None


def is_known(request: Asked) -> Callable[[str], bool]:
    """Whether the client says, in If-None-Match, that it has what carries this ETag."""
    etags = _etags(request, "If-None-Match")
    if etags is None:
        return lambda _: False
    if etags.star_tag:
        return lambda etag: etag != NO_ETAG
    return etags.contains_weak


def wants_stream(request: Asked) -> bool:
    """Whether the answer is to be a stream of events (RFC 9110, 12.5.1)."""
    accepted = request.field("Accept")
    return accepted is not None and request.method == "GET" and _prefers_stream(accepted)


@lru_cache(maxsize=64)
def _prefers_stream(accepted: str) -> bool:
    best = parse_accept_header(accepted, MIMEAccept).best_match((JSON, EVENT_STREAM))
    return best == EVENT_STREAM


def last_event(request: Asked) -> str | None:
    """The id of the last event that the client has, if it has one (HTML Standard, 9.2.4)."""
    return request.field("Last-Event-ID") or None


def _etags(request: Asked, header: str) -> ETags | None:
    text = request.field(header)
    if text is None:
        return None
    etags = parse_etags(text)
    if not etags:
        # An empty variable in a script must not turn a conditional write into an unconditional one.
        raise BadRequest(f"{header} holds no ETag")
    return etags


def body(request: Asked) -> bytes:
    """The bytes sent. Raises LengthRequired, TooLarge, UnsupportedMediaType or BadRequest (it ended early)."""
    if (request.field("Content-Type") or "").lower().startswith("multipart/"):
        raise UnsupportedMediaType("send the JSON document itself, not a multipart form")
    if _length(request) is None and request.field("Transfer-Encoding") is None:
        raise LengthRequired("the body is the JSON document; there is none")
    return _read(request)


def no_body(request: Asked) -> None:
    """Raises BadRequest if there is one."""
    if _read(request):
        raise BadRequest("this request takes no body")


def _length(request: Asked) -> int | None:
    text = request.field("Content-Length")
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _read(request: Asked) -> bytes:
    length = _length(request)
    if length is not None and length > MAX_BODY:
        raise TooLarge(_TOO_LARGE)
    try:
        data = _read_chunks(request) if length is None else request.environ["wsgi.input"].read(length)
    except (ClientDisconnected, OSError):
        data = None
    if data is None or len(data) < (length or 0):
        raise BadRequest("the body ended early, is malformed or came too slowly")
    return bytes(data)


def _read_chunks(request: Asked) -> bytes:
    """What has no known length."""
    try:
        data = request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge:
        raise TooLarge(_TOO_LARGE) from None
    if len(data) > MAX_BODY:
        raise TooLarge(_TOO_LARGE)
    return data


def is_json_patch(request: Asked) -> bool:
    """Whether the body is a JSON Patch, and not a merge patch. Raises UnsupportedMediaType if it is neither."""
    if request.mimetype not in _READ_AS_PATCHES:
        listed = ", ".join(PATCH_TYPES)
        raise UnsupportedMediaType(f"a patch is one of {listed}", headers={"Accept-Patch": listed})
    return request.mimetype == JSON_PATCH


def meta(request: Asked) -> Meta:
    """X-Author, or else the name of the token, and X-Note: kept in the history."""
    author = _told(request, "X-Author", _AUTHOR_BYTES) or request.caller.name
    return Meta(author, _told(request, "X-Note", _NOTE_BYTES))


def _told(request: Asked, header: str, limit: int) -> str:
    text = request.field(header)
    if not text:
        return ""
    raw = text.encode("latin-1")
    if len(raw) > limit:
        raise BadRequest(f"{header} may have {limit} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
