"""Who a request came from, by the word of proxies that are trusted, and what is said of it to the servers.

X-Forwarded-* and Forwarded (RFC 7239) can be written by anybody, so they count only along an unbroken chain of
trusted addresses, read from our end. Knows no config: who is trusted is a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import chain, repeat

from app.wire.address import unmapped

FOR, HOST, PROTO = b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"
FORWARDED = b"forwarded"

# Says of an address whether its word on others counts.
Trust = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Origin:
    """`client`: the address nearest to us that is not a trusted proxy. `secure`: it asked over TLS.

    `lines`: the field lines that tell a server so, each with its end.
    """

    client: bytes
    secure: bool
    lines: bytes


def trust(networks: Iterable[str]) -> Trust:
    """Trust in the addresses of these networks (CIDR); what is no IP address is never trusted."""
    trusted = tuple(ip_network(each, strict=False) for each in networks)

    @lru_cache(1024)
    def trusts(address: str) -> bool:
        try:
            host = unmapped(ip_address(address))
        except ValueError:
            return False
        return any(host in network for network in trusted)

    return trusts


def trace(fields: Mapping[bytes, list[bytes]], peer: str, scheme: str, host: bytes, trusts: Trust) -> Origin:
    """Where the request of `peer`, who came over `scheme` and asked for `host`, has its origin.

    `fields`: the values of every X-Forwarded-*, X-Real-IP and Forwarded field, by its name in small letters.
    Those of a peer that is not trusted are forgotten. Those of a trusted one are kept: its lists grow by one
    entry, and of what it did not say our own word is added. Never raises: what is garbage ends the chain.
    """
    theirs = _joined(fields) if trusts(peer) else {}
    path, asked_over = _walk(theirs, peer, scheme, trusts)
    secure = asked_over.lower() in _SECURE
    told = {FOR: _listed(reversed(path)), PROTO: b"https" if secure else b"http", HOST: host, **theirs}
    if FOR in theirs:
        told[FOR] = _append(theirs[FOR], peer.encode())
    if FORWARDED in fields:
        told[FORWARDED] = _append(theirs.get(FORWARDED, b""), _element(peer, scheme, host))
    return Origin(path[-1].encode(), secure, _lines(told))


_SECURE = frozenset((b"https", b"wss"))


def _joined(fields: Mapping[bytes, list[bytes]]) -> dict[bytes, bytes]:
    """Each field as one value (RFC 9110, 5.3), without those that say nothing."""
    values = {name: b", ".join(filter(None, lines)) for name, lines in fields.items()}
    return {name: value for name, value in values.items() if value}


def _walk(theirs: Mapping[bytes, bytes], peer: str, scheme: str, trusts: Trust) -> tuple[list[str], bytes]:
    """The addresses from the peer to the client, and the scheme that the first trusted proxy was asked over."""
    path, asked_over = [peer], next(_schemes(theirs)) or scheme.encode()
    for node, said in _hops(theirs):
        if not trusts(path[-1]):
            break
        asked_over = said or asked_over
        address = _address(node)
        if address is None:
            break
        path.append(address)
    return path, asked_over


def _hops(theirs: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Who asked each proxy and over which scheme, from the nearest proxy on.

    X-Forwarded-For holds where both are there: proxies that do not know Forwarded pass on what a client forged.
    """
    if FOR in theirs:
        return zip(_members(theirs[FOR]), _schemes(theirs), strict=False)
    elements = _elements(theirs.get(FORWARDED, b""))
    return ((each.get(b"for", b""), each.get(b"proto", b"")) for each in elements)


def _schemes(theirs: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """X-Forwarded-Proto from the nearest proxy on, then nothing: most proxies keep one word for the whole chain."""
    return chain(_members(theirs.get(PROTO, b"")), repeat(b""))


def _members(value: bytes) -> Iterator[bytes]:
    """A list from its end, without the empty members (RFC 9110, 5.6.1.2)."""
    return filter(None, (member.strip(b" \t") for member in reversed(value.split(b","))))


# RFC 7239, 6: IPv6 in brackets, and perhaps a port; and as X-Forwarded-For has it, IPv6 without brackets.
_NODE = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]{1,64}))?"
    rb"|([0-9A-Fa-f:.]{2,45})"
)
_NODE_KINDS = (IPv6Address, IPv4Address, IPv6Address)


def _address(node: bytes) -> str | None:
    """The IP address of a node, spelt as usual; None: it has none, or hides it."""
    found = _NODE.fullmatch(node)
    if found is None or found.lastindex is None:
        return None
    return _spelt(found.lastindex, found[found.lastindex])


@lru_cache(1024)
def _spelt(group: int, text: bytes) -> str | None:
    try:
        return str(unmapped(_NODE_KINDS[group - 1](text.decode())))
    except ValueError:
        return None


# RFC 7239, 4: name=value pairs between semicolons. Laxer: white space around a pair, a bare value of any text.
_PAIR = rb"([^ \t=;\"]++)=(\"[^\"]*+\"|[^ \t;\"]*+)"
_PAIRS = re.compile(_PAIR)
_PART = rb"[ \t]*+(?:%b)?+[ \t]*+" % _PAIR
_ELEMENT = re.compile(rb"%b(?:;%b)*+" % (_PART, _PART))

# One element, read from its end, up to the comma before it.
_BACK_TO_FRONT = re.compile(rb"(?:\"[^\"]*+\"|[^\",]++)*+(?=,|\Z)")


def _elements(value: bytes) -> Iterator[dict[bytes, bytes]]:
    """The elements of Forwarded from the last one on, up to a malformed one.

    Read backwards, or a quotation mark left open by a client would swallow what a proxy appended.
    """
    at, backwards = 0, value[::-1]
    while at <= len(value) and (found := _BACK_TO_FRONT.match(backwards, at)):
        element = found[0][::-1].strip(b" \t")
        pairs = _pairs(element)
        if element and not pairs:
            return
        if pairs:
            yield pairs
        at = found.end() + 1


def _pairs(element: bytes) -> dict[bytes, bytes]:
    """The parameters of an element; none if it is malformed.

    None may occur twice (RFC 7239, 4): a Host of `a;for=192.0.2.1`, copied without quotes, would look like that.
    """
    found = _PAIRS.findall(element) if _ELEMENT.fullmatch(element) else []
    pairs = {name.lower(): value.strip(b'"') for name, value in found}
    return pairs if len(pairs) == len(found) else {}


def _element(peer: str, scheme: str, host: bytes) -> bytes:
    """Our own element of Forwarded. What holds a colon must be quoted, and no host holds a quotation mark."""
    node = f'"[{peer}]"' if ":" in peer else peer
    named = b';host="%b"' % host if host else b""
    return b"for=%b;proto=%b%b" % (node.encode(), scheme.encode(), named)


def _listed(addresses: Iterable[str]) -> bytes:
    return ", ".join(addresses).encode()


def _append(value: bytes, entry: bytes) -> bytes:
    return b"%b, %b" % (value, entry) if value else entry


def _lines(told: Mapping[bytes, bytes]) -> bytes:
    lines = [b"%b: %b\r\n" % (name.title(), value) for name, value in told.items() if value]
    return b"".join(lines) + b"Via: 1.1 serin\r\n"
