"""What a strict client makes of an answer: read by the letter of RFC 9112, with no code of ours.

AssertionError: no client could be sure what this means. ConnectionError: it broke off, and the client knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.proxy.peer import Peer

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\r\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*\r\n")
_CHUNK_LINE = re.compile(rb"([0-9a-f]{1,16})\r\n")
_HOP_BY_HOP = {b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"}


@dataclass(frozen=True, slots=True)
class Answer:
    """`head`: the final one with its empty line; `interims`: those before it. `fields`: names in small letters."""

    interims: bytes
    head: bytes
    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def chunked(self) -> bool:
        """Came the body in chunks?"""
        return (b"transfer-encoding", b"chunked") in self.fields

    @property
    def closes(self) -> bool:
        """Does the connection end with it?"""
        return (b"connection", b"close") in self.fields

    @property
    def plain(self) -> bytes:
        """All of it as it came, with its chunks as one."""
        body = self.body
        if self.chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        return self.interims + self.head + body


def read_answer(client: Peer, request: bytes) -> Answer:
    """Read one whole answer to `request`, with the 1xx responses before it."""
    interims = b""
    while True:
        head = client.head()
        status, fields = parse_head(head)
        if status >= 200:
            break
        interims += head
        assert _names(fields).isdisjoint({b"content-length", b"transfer-encoding"})
    body = _read_body(client, request, status, fields)
    return Answer(interims, head, status, fields, body)


def parse_head(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and fields of a head that is a proxy's to send: nothing of another hop is left in it."""
    line = _STATUS_LINE.match(head)
    assert line, head
    fields, at = [], line.end()
    while field := _FIELD.match(head, at):
        fields.append((field[1].lower(), field[2]))
        at = field.end()
    assert head[at:] == b"\r\n", head
    assert _names(fields).isdisjoint(_HOP_BY_HOP)
    return int(line[1]), fields


def _names(fields: list[tuple[bytes, bytes]]) -> set[bytes]:
    return {name for name, _ in fields}


def _read_body(client: Peer, request: bytes, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
    """RFC 9112, 6.3."""
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    assert (codings, lengths) in (([b"chunked"], []), ([], lengths[:1])), fields
    if status == 204:
        assert (codings, lengths) == ([], [])  # RFC 9110, 8.6; RFC 9112, 6.1
    if status in (204, 304) or request.startswith(b"HEAD "):
        return b""
    if codings:
        assert b" HTTP/1.1\r\n" in request
        return _read_chunks(client)
    if lengths:
        assert re.fullmatch(rb"[0-9]{1,18}", lengths[0])
        return client.exactly(int(lengths[0]))
    assert (b"connection", b"close") in fields or b" HTTP/1.0\r\n" in request
    return client.rest()


def _read_chunks(client: Peer) -> bytes:
    payload = b""
    while True:
        line = client.read_until(b"\r\n")
        size = _CHUNK_LINE.fullmatch(line)
        assert size, line
        data = client.exactly(int(size[1], 16) + 2)
        assert data.endswith(b"\r\n")
        if data == b"\r\n":
            return payload
        payload += data[:-2]
