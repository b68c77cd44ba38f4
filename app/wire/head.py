"""Message heads: from bytes to the few facts a proxy needs, and nothing more.

`parse_request` and `parse_response` take the bytes read so far and return None while the head is not whole.
What they accept is forwarded as it came, byte for byte, less the lines a proxy must not pass on.
Neither class is frozen: a frozen one costs a microsecond to make, and a Request is made for every request.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from app.errors import WireError
from app.wire.body import CHUNKED, UPGRADED, request_framing, response_framing
from app.wire.fault import check_request_prefix, check_response_prefix
from app.wire.grammar import (
    ABSOLUTE_FORM,
    FIELD_LINES,
    HOST,
    REQUEST_FIELDS,
    REQUEST_HEAD,
    REQUEST_ID,
    RESPONSE_FIELDS,
    RESPONSE_HEAD,
    UNDERSCORED,
)
from app.wire.upgrade import members, offered

# Of the fields a proxy must know, those that it passes on as well. The others are the connection's own
# (RFC 9110, 7.6.1), or what a client says of itself and its way here, which is for the gateway to judge.
REQUEST_KEPT = frozenset(b"host content-length cookie expect x-request-id".split())
RESPONSE_KEPT = frozenset((b"content-length",))
TOLD = (b"x-forwarded-", b"forwarded", b"x-real-ip")

# RFC 3986, 3.2.2 expects no longer name than DNS allows; with the colon and port.
MAX_HOST = 255 + 6

# RFC 9110, 7.6.1 lets Connection name any field; naming these would change what the request means.
PROTECTED = frozenset(b"host content-length transfer-encoding cookie authorization x-request-id".split())


@dataclass(slots=True, eq=False)
class Request:
    """A request head; `size` counts its bytes, the empty line included.

    `fields` is the text from the LF before the first field line to the CR LF of the last; `onward` what of it
    goes on to the server, as whole lines. `framing` is a length or CHUNKED (see `body`). `client` is the address
    of who sent it; the gateway fills it in. `bucket`: see balance.facts.
    `told`: what the request says of its way here, X-Forwarded-* and the like, by name in small letters.
    `upgrade`: the protocols it would rather speak (RFC 9110, 7.8), never HTTP/2.
    """

    method: bytes
    target: bytes
    minor: int
    size: int
    fields: bytes
    onward: bytes = b""
    host: bytes = b""
    framing: int = 0
    keep_alive: bool = False
    cookies: bytes = b""
    request_id: bytes = b""
    client: bytes = b""
    told: dict[bytes, list[bytes]] | None = None
    upgrade: bytes = b""
    bucket: int = 0

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def header(self, name: bytes) -> bytes | None:
        """The value of the first field of that name."""
        found = _field_pattern(name).search(self.fields)
        return found[1].rstrip(b" \t") if found else None

    def cookie(self, name: bytes) -> bytes | None:
        """The value of the first cookie of that name (RFC 6265, 5.4)."""
        if not self.cookies:
            return None
        found = _cookie_pattern(name).search(self.cookies)
        return found[1] if found else None

    def query(self, name: bytes) -> bytes | None:
        """The decoded value of the first query field of that name."""
        for pair in self.target.partition(b"?")[2].split(b"&"):
            key, _, value = pair.replace(b"+", b" ").partition(b"=")
            if unquote_to_bytes(key) == name:
                return unquote_to_bytes(value)
        return None


@dataclass(slots=True, eq=False)
class Response:
    """A response head; heads that are equal share one, so it is never changed.

    `onward` is what of it goes on to the client, in HTTP/1.1 and without the empty line. `framing` and `size` as
    in Request; `framing` may also be UNTIL_CLOSE or UPGRADED; then `upgrade` says to what. `keep_alive`: the
    connection can serve others after it.
    """

    status: int
    size: int
    onward: bytes
    framing: int
    keep_alive: bool
    upgrade: bytes = b""


@lru_cache(1024)
def _field_pattern(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?i)\n" + re.escape(name) + rb":[ \t]*+([^\r]*+)")


@lru_cache(1024)
def _cookie_pattern(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:^|;)[ \t]*+" + re.escape(name) + rb"=([^; \t]*+)")


def _lines(head: bytes, names: Container[bytes]) -> list[bytes]:
    """Every line of the fields named, in one pass: a client may name thousands."""
    return [line for line, name in FIELD_LINES.findall(head) if name.lower() in names]


def parse_request(
    data: bytes, head_bytes: int, target_bytes: int, headers: int, underscored: str = "drop"
) -> Request | None:
    """Read a request head (RFC 9112, 2 to 6); the numbers are the limits of the config document.

    `underscored`: what becomes of field names with "_": `drop`, `pass` or `refuse`.
    Raises WireError: 400, 405, 414, 431, 501 or 505, each with its reason.
    """
    match = REQUEST_HEAD.match(data) or (REQUEST_HEAD.match(data, 2) if data[:2] == b"\r\n" else None)
    if match is None:
        check_request_prefix(data, head_bytes, target_bytes, headers)
        return None
    method, target, digit = match.groups()
    end = match.end()
    fields = data[data.index(b"\n", match.end(3)) : end - 2]
    if len(target) > target_bytes:
        raise WireError(414, "target_too_long")
    if end > head_bytes or fields.count(b"\n") - 1 > headers:
        raise WireError(431, "head_too_large")
    request = Request(method, target, digit[0] - _ZERO, end, fields)
    dropped: list[bytes] = []
    found = _collect(REQUEST_FIELDS.findall(fields), REQUEST_KEPT, dropped)
    request.host = _host(found.pop(b"host", None), request.minor)
    if found:
        _read_fields(request, found, dropped)
    else:
        request.keep_alive = request.minor > 0
    if b"_" in fields and underscored != "pass":
        _judge_underscored(fields, underscored, dropped)
    if target[0] != _SLASH or method == b"CONNECT":
        _other_form(request, dropped)
    request.onward = _without(request.fields, dropped)[1:]
    return request


_SLASH, _ZERO, _CR = b"/0\r"


def _read_fields(request: Request, fields: dict[bytes, list[bytes]], dropped: list[bytes]) -> None:
    lengths, codings = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if lengths or codings:
        request.framing = request_framing(request.minor, lengths, codings)
    request.keep_alive = _keep_alive(request.minor, fields.get(b"connection"), request.fields, dropped)
    if b"cookie" in fields:
        request.cookies = b"; ".join(fields[b"cookie"])
    if b"x-request-id" in fields:
        _read_request_id(request, fields[b"x-request-id"], dropped)
    if dropped:
        request.told = {name: values for name, values in fields.items() if name.startswith(TOLD)}
        if b"upgrade" in fields:
            request.upgrade = offered(request.minor, request.framing, fields)


def _judge_underscored(fields: bytes, what: str, dropped: list[bytes]) -> None:
    lines = UNDERSCORED.findall(fields)
    if lines and what == "refuse":
        raise WireError(400, "underscored_header", "a field name must not hold an underscore")
    dropped.extend(lines)


def parse_response(data: bytes, method: bytes, head_bytes: int) -> Response | None:
    """Read the head of the answer to a request with `method` (RFC 9112, 4 and 6). Raises WireError 502.

    A server mostly says again what it has said before, within a second even with the same Date.
    """
    size = data.find(_END) + len(_END)
    if size < len(_END):
        response = None
    elif size <= REMEMBERED_BYTES:
        response = _read_again(data[:size], method)
    else:
        response = _read_response(data[:size], method)
    if response is None:
        check_response_prefix(data, head_bytes)
    elif size > head_bytes:
        raise WireError(502, "head_too_large")
    return response


def _read_response(raw: bytes, method: bytes) -> Response | None:
    match = RESPONSE_HEAD.fullmatch(raw)
    if match is None:
        return None
    digit, code = match.groups()
    minor, status = digit[0] - _ZERO, int(code)
    head = raw[:-2] if raw[12] != _CR else b"%b %b" % (raw[:12], raw[12:-2])  # RFC 9112, 4: the SP stays
    dropped: list[bytes] = []
    fields = _collect(RESPONSE_FIELDS.findall(head), RESPONSE_KEPT, dropped)
    lengths, codings = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    framing = response_framing(minor, method, status, lengths, codings)
    if lengths and (status < 200 or status == 204):
        dropped.extend(_lines(head, (b"content-length",)))  # RFC 9110, 8.6: must not be sent in these
    keep_alive = _keep_alive(minor, fields.get(b"connection"), head, dropped)
    if framing < CHUNKED or (not framing and _speaks_of_a_body(method, lengths, codings)):
        keep_alive = False
    response = Response(status, len(raw), b"HTTP/1.1" + _without(head, dropped)[8:], framing, keep_alive)
    if framing == UPGRADED:
        response.upgrade = b", ".join(fields.get(b"upgrade", ()))
    return response


def _speaks_of_a_body(method: bytes, lengths: list[bytes] | None, codings: list[bytes] | None) -> bool:
    """Does an answer without a body say that there is one? Some servers send that all the same, perhaps later than
    the head, and it would be read as the answer to the next request."""
    return bool(codings) or (int(lengths[0]) > 0 if lengths else method == b"HEAD")


_END = b"\r\n\r\n"

# Of how many heads, and up to what length, it is remembered what they mean: 2 MiB at most.
REMEMBERED, REMEMBERED_BYTES = 1024, 2048
_read_again = lru_cache(REMEMBERED)(_read_response)


def _without(head: bytes, lines: list[bytes]) -> bytes:
    for line in lines:
        head = head.replace(line, b"", 1)
    return head


def _collect(
    found: list[tuple[bytes, bytes, bytes]], kept: frozenset[bytes], dropped: list[bytes]
) -> dict[bytes, list[bytes]]:
    """The values of each field found, by its name in small letters.

    Lines that must not go on join `dropped`, each from the LF before it to its own CR.
    """
    fields: dict[bytes, list[bytes]] = {}
    for line, cased, value in found:
        name = cased.lower()
        if name not in kept:
            dropped.append(line)
        if name in fields:
            fields[name].append(value.rstrip(b" \t"))
        else:
            fields[name] = [value.rstrip(b" \t")]
    return fields


def _host(hosts: list[bytes] | None, minor: int) -> bytes:
    if hosts is None:
        if minor:
            raise WireError(400, "no_host", "a request needs one Host")
        return b""
    if len(hosts) > 1:
        raise WireError(400, "two_hosts", "a request needs one Host")
    if len(hosts[0]) > MAX_HOST or not _is_host(hosts[0]):
        raise WireError(400, "bad_host", "Host must be a name or address, with or without a port")
    return hosts[0]


@lru_cache(1024)
def _is_host(text: bytes) -> bool:
    return HOST.fullmatch(text) is not None


def _keep_alive(minor: int, connections: list[bytes] | None, head: bytes, dropped: list[bytes]) -> bool:
    """RFC 9112, 9.3. What Connection names besides goes on the list of dropped lines (RFC 9110, 7.6.1)."""
    if connections is None:
        return minor > 0
    if len(connections) == 1 and connections[0].lower() in _NOTHING_NAMED:
        return connections[0].lower() == b"keep-alive"
    options = {option.lower() for option in members(connections)}
    if named := options - PROTECTED - _CONNECTION_OPTIONS:
        dropped.extend(_lines(head, named))
    return b"close" not in options and (minor > 0 or b"keep-alive" in options)


_NOTHING_NAMED = frozenset((b"keep-alive", b"close"))
_CONNECTION_OPTIONS = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b""))


def _read_request_id(request: Request, ids: list[bytes], dropped: list[bytes]) -> None:
    if len(ids) == 1 and REQUEST_ID.fullmatch(ids[0]):
        request.request_id = ids[0]
    else:
        dropped.extend(_lines(request.fields, (b"x-request-id",)))


def _other_form(request: Request, dropped: list[bytes]) -> None:
    """A target that is not in origin-form (RFC 9112, 3.2): absolute-form is rewritten, the rest refused."""
    absolute = ABSOLUTE_FORM.fullmatch(request.target)
    if request.method == b"CONNECT":
        raise WireError(405, "connect", "this is no forward proxy")
    if request.target == b"*" and request.method == b"OPTIONS":
        return
    if absolute is None or len(absolute[1]) > MAX_HOST or not HOST.fullmatch(absolute[1]):
        raise WireError(400, "bad_target", "a target must be a path")
    if absolute[2] or request.method != b"OPTIONS":
        path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    else:
        path = b"*"  # RFC 9112, 3.2.4
    dropped.extend(_lines(request.fields, (b"host",)))
    request.host, request.target = absolute[1], path
    request.fields = b"\nHost: %b\r%b" % (absolute[1], request.fields)
