"""Field lines that come again: a client mostly sends the same ones with each request, and only another target.

HTTP/2's header compression lives on that (RFC 7541); here it saves reading them twice. Bytes that are equal mean
the same, so nothing is decided here that `head` has not decided before.
"""

from __future__ import annotations

from app.wire.grammar import REQUEST_LINE
from app.wire.head import Request

_SLASH, _ONE, _ZERO = b"/10"


class FieldLines:
    """The field lines of one request and what they mean, for the requests after it under the same limits."""

    __slots__ = ("_former", "_lines", "_longest", "_longest_target", "_request_id")

    def __init__(self, former: Request, data: bytes, head_bytes: int, target_bytes: int) -> None:
        """`former` has been read from `data`, which holds nothing else."""
        self._former = former
        self._request_id = former.request_id  # the gateway gives one to a request that has none
        self._lines = data[data.index(b"\n") + 1 :]
        self._longest = head_bytes
        self._longest_target = target_bytes

    @staticmethod
    def of(former: Request, data: bytes, head_bytes: int, target_bytes: int) -> FieldLines | None:
        """None when more than the field lines made `former` what it is (a body, a target in absolute-form), or when
        something comes before or after it."""
        whole = len(former.head) + 2 == len(data) and data.startswith(former.head)
        if former.framing or not whole or former.target[0] != _SLASH:
            return None
        return FieldLines(former, data, head_bytes, target_bytes)

    def again(self, data: bytes) -> Request | None:
        """The request in `data` if it has these field lines and a plain request line; else it is for `head`."""
        lines, former = self._lines, self._former
        if not data.endswith(lines) or len(data) > self._longest:
            return None
        line = REQUEST_LINE.match(data)
        if line is None or line.end() + len(lines) != len(data):
            return None
        method, target, major, minor = line.groups()
        if (
            target[0] != _SLASH
            or len(target) > self._longest_target
            or method == b"CONNECT"
            or major[0] != _ONE
            or minor[0] - _ZERO != former.minor
        ):
            return None
        return Request(
            method,
            target,
            former.minor,
            data[:-2],
            len(data),
            former.host,
            0,
            former.keep_alive,
            former.dropped,
            former.cookies,
            self._request_id,
            b"",
            former.told,
            former.upgrade,
        )
