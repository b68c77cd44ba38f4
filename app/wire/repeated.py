"""Field lines that come again: a client mostly sends the same ones with each request, and only another target.

HTTP/2's header compression lives on that (RFC 7541); here it saves reading them twice. Bytes that are equal mean
the same, so nothing is decided here that `head` has not decided before.
"""

from __future__ import annotations

from app.wire.grammar import origin_line
from app.wire.head import Request


class FieldLines:
    """The field lines of one request and what they mean, for the requests after it under the same limits."""

    __slots__ = ("_former", "_line", "_lines", "_longest_line", "_request_id", "_size")

    def __init__(self, former: Request, data: bytes, head_bytes: int, target_bytes: int) -> None:
        """`former` has been read from `data`, which holds nothing else. When it has been answered it is ours."""
        self._former = former
        self._request_id = former.request_id  # the gateway gives one to a request that has none
        self._lines = data[data.index(b"\n") + 1 :]
        self._size = len(self._lines)
        self._line = origin_line(former.minor)
        # Stricter than the limits, by what a request line holds beside the target: longer ones are for `head`.
        self._longest_line = min(head_bytes - self._size, target_bytes)

    @staticmethod
    def of(former: Request, data: bytes, head_bytes: int, target_bytes: int) -> FieldLines | None:
        """None when more than the field lines made `former` what it is (a body, a target in absolute-form), or when
        something comes before or after it."""
        line = b"%b %b HTTP/1.%d\r\n" % (former.method, former.target, former.minor)
        if former.framing or former.size != len(data) or not data.startswith(line):
            return None
        return FieldLines(former, data, head_bytes, target_bytes)

    def again(self, data: bytes) -> Request | None:
        """The request in `data` if it has these field lines and a plain request line; else it is for `head`.

        It is the former one made over: to make it anew would cost more than to read it.
        """
        end = len(data) - self._size
        if end > self._longest_line or not data.endswith(self._lines):
            return None
        line = self._line(data, 0, end)
        if line is None:
            return None
        request = self._former
        request.method, request.target = line.groups()
        request.size = len(data)
        request.request_id = self._request_id
        return request
