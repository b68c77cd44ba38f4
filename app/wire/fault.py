"""Why a head is not (yet) one: called only when the one pattern for the whole head did not match.

Returns when more bytes may still complete the head; raises WireError when none can.
"""

from __future__ import annotations

import re

from app.errors import WireError
from app.wire.grammar import FIELD, REQUEST_LINE, REQUEST_LINE_PREFIX, TARGET, TOKEN

_HTTP_0_9 = re.compile(TOKEN + rb" " + TARGET + rb"\r?\n")

# What may be wrong with a field line, the likeliest first: (pattern, reason, sentence).
_FIELD_FAULTS = (
    (re.compile(rb"[ \t]"), "obs_fold", "a field line must not be folded"),
    (re.compile(rb"[^\r\n]*\n"), "bare_lf", "a line must end with CR LF"),
    (
        re.compile(rb"[^:\r\n]*+(?<=[ \t]):"),
        "space_before_colon",
        "no white space may stand before the colon",
    ),
    (re.compile(rb":"), "empty_name", "a field needs a name"),
    (re.compile(rb"[^:]*\r\n"), "no_colon", "a field line needs a colon"),
    (re.compile(rb"[^:]*[^!#$%&'*+\-.^_`|~0-9A-Za-z:]"), "bad_name", "a field name must be a token"),
    (re.compile(rb""), "bad_value", "a field value must not hold control characters"),
)


def check_request_prefix(data: bytes, head_bytes: int, target_bytes: int, headers: int) -> None:
    """Raise WireError if `data` cannot become a request head by growing."""
    start = 2 if data[:2] == b"\r\n" else 0
    line_end = data.find(b"\n", start) + 1
    if line_end:
        _check_request_line(data[start:line_end], target_bytes)
        _check_fields(data, line_end, 400)
    else:
        _check_begun_line(data[start:], target_bytes)
    if len(data) > head_bytes or data.count(b"\n", line_end) > headers:
        raise WireError(431, "head_too_large")


def check_response_prefix(data: bytes, head_bytes: int) -> None:
    """Raise WireError 502 if `data` cannot become a response head by growing."""
    line_end = data.find(b"\n") + 1
    expected = b"HTTP/1."
    if data[: len(expected)] != expected[: len(data)]:
        raise WireError(502, "bad_status_line")
    if line_end and not _STATUS_LINE.fullmatch(data, 0, line_end):
        raise WireError(502, "bad_status_line")
    if line_end:
        _check_fields(data, line_end, 502)
    if len(data) > head_bytes:
        raise WireError(502, "head_too_large")


_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?\r\n")


def _check_begun_line(line: bytes, target_bytes: int) -> None:
    if len(line.partition(b" ")[2]) > target_bytes + len(b" HTTP/1.1\r\n"):
        raise WireError(414, "target_too_long")
    if line.strip(b"\r") and not REQUEST_LINE_PREFIX.fullmatch(line):
        raise WireError(400, "bad_request_line", "this is not an HTTP/1.1 request line")


def _check_request_line(line: bytes, target_bytes: int) -> None:
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        if _HTTP_0_9.fullmatch(line):
            raise WireError(505, "version", "this server speaks HTTP/1.1")
        raise WireError(400, "bad_request_line", "this is not an HTTP/1.1 request line")
    if match[3] != b"1":
        raise WireError(505, "version", "this server speaks HTTP/1.1")
    if len(match[2]) > target_bytes:
        raise WireError(414, "target_too_long")


def _check_fields(data: bytes, at: int, status: int) -> None:
    """Find the first whole line from `at` that is not a field line, and say what is wrong with it."""
    while (field := FIELD.match(data, at)) is not None:
        at = field.end()
    line = data[at : data.find(b"\n", at) + 1 or at]
    if line:
        _, reason, detail = next(fault for fault in _FIELD_FAULTS if fault[0].match(line))
        raise WireError(status, reason, detail)
