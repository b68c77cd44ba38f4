"""The PROXY protocol, versions 1 and 2: a load balancer's word, before the first request, on who connected to it.

As in "The PROXY protocol" (HAProxy's proxy-protocol.txt), 2.1 and 2.2. Whether a sender may be believed, and
whether a header is to be expected at all, is for the caller to know; a header is never guessed at. The checksum
of version 2 is not verified: TCP has its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from app.errors import WireError
from app.wire.address import IPAddress, unmapped

# 2.1: the longest line, with its CRLF.
MAX_LINE = 107

# 2.2 allows 65535 bytes of addresses and TLVs; what load balancers send stays under one kilobyte.
MAX_BLOCK = 4096

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@dataclass(frozen=True, slots=True)
class Header:
    """`size`: its bytes on the wire. `source`: the client's address; None: that of the connection holds.

    `secure`: the sender says that the client's connection to it was TLS.
    """

    size: int
    source: str | None
    secure: bool = False


def parse(data: bytes) -> Header | None:
    """Read the header that `data` begins with; None: it is not whole yet.

    Raises WireError 400 for what cannot become one by growing.
    """
    return _version_2(data) if data[:1] == SIGNATURE[:1] else _version_1(data)


_PORT = rb"(0|[1-9][0-9]{0,4})"
_ADDRESS = rb"([0-9A-Fa-f:.]{2,45})"
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*+)?|(TCP4|TCP6) %b %b %b %b)\r\n" % (_ADDRESS, _ADDRESS, _PORT, _PORT)
)
_FAMILY: dict[bytes, Callable[[str], IPAddress]] = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}


def _version_1(data: bytes) -> Header | None:
    size = data.find(b"\n", 0, MAX_LINE) + 1
    if not size:
        begun = b"PROXY ".startswith(data[:6])
        _require(begun and len(data) < MAX_LINE, "a connection must begin with a PROXY header")
        return None
    line = _LINE.fullmatch(data, 0, size)
    if line is None:
        raise _bad("the PROXY line is malformed")
    family, source, destination, *ports = line.groups()
    if family is None:
        return Header(size, None)
    _require(max(map(int, ports)) <= 65535, "a port is out of range")
    _read_address(family, destination)
    return Header(size, _read_address(family, source))


def _read_address(family: bytes, text: bytes) -> str:
    try:
        return str(unmapped(_FAMILY[family](text.decode())))
    except ValueError:
        raise _bad("an address is malformed") from None


_LOCAL, _PROXY = 0x20, 0x21  # the version and a command, in one byte
_TCP_OVER_IPV4, _TCP_OVER_IPV6 = 0x11, 0x21
_ADDRESS_BYTES = {0: 0, 1: 12, 2: 36, 3: 216}  # by family: none, IPv4, IPv6, unix
_TRANSPORTS = range(3)  # none, stream, datagram


def _version_2(data: bytes) -> Header | None:
    _require(data[:12] == SIGNATURE[: len(data)], "the PROXY signature is malformed")
    if len(data) < 16:
        return None
    command, kind, length = data[12], data[13], int.from_bytes(data[14:16])
    _require(command in (_LOCAL, _PROXY), "the PROXY command is unknown")
    _require(length <= MAX_BLOCK, "the PROXY header is too long")
    if command == _PROXY:
        _require(kind >> 4 in _ADDRESS_BYTES and kind & 15 in _TRANSPORTS, "the PROXY family is unknown")
        _require(length >= _ADDRESS_BYTES[kind >> 4], "the PROXY header is too short for its addresses")
    size = 16 + length
    if len(data) < size:
        return None
    if command == _LOCAL or kind not in (_TCP_OVER_IPV4, _TCP_OVER_IPV6):
        return Header(size, None)  # 2.2: the connection's own endpoints hold, whatever the block says
    return _relayed(data[16:size], kind)


def _relayed(block: bytes, kind: int) -> Header:
    source = IPv4Address(block[:4]) if kind == _TCP_OVER_IPV4 else IPv6Address(block[:16])
    tls = dict(_tlvs(block[_ADDRESS_BYTES[kind >> 4] :])).get(_SSL)
    return Header(16 + len(block), str(unmapped(source)), tls is not None and _says_tls(tls))


# 2.2.6: PP2_TYPE_SSL holds a byte of flags and four of the verdict on the certificate, then further TLVs.
_SSL, _CLIENT_SSL = 0x20, 0x01


def _says_tls(value: bytes) -> bool:
    _require(len(value) >= 5, "a TLV is cut short")
    return bool(value[0] & _CLIENT_SSL)


def _tlvs(block: bytes) -> Iterator[tuple[int, bytes]]:
    """The type-length-value vectors after the addresses."""
    at = 0
    while at < len(block):
        start = at + 3
        end = start + int.from_bytes(block[at + 1 : start])
        _require(end <= len(block), "a TLV is cut short")
        yield block[at], block[start:end]
        at = end


def _require(holds: bool, detail: str) -> None:
    if not holds:
        raise _bad(detail)


def _bad(detail: str) -> WireError:
    return WireError(400, "bad_proxy_header", detail)
