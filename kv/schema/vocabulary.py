"""Keywords of our own, for what JSON Schema cannot say. Whoever does not know them passes them over, as its rule is.

`uniqueOrigins`: a list's items name no server twice in their member of this name, however the URL is spelled.
`maxBytes`: a text's length in UTF-8, where `maxLength` counts characters.
`ipNetwork`: true stands for a text that is an IP address, or a network without bits behind its mask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_interface
from typing import Any, NamedTuple

_ORIGIN = re.compile(r"([a-z]+)://(\[[^\]]*\]|[^\[\]:/?#@]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NETWORK = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")


class Miss(NamedTuple):
    """Where below the value, and a sentence."""

    path: tuple[str | int, ...]
    sentence: str


def unique_origins(member: str, value: Any) -> Iterator[Miss]:
    """Each item that is the same server as an earlier one."""
    first: dict[str, int] = {}
    for index, item in enumerate(value if isinstance(value, list) else ()):
        url = item.get(member) if isinstance(item, dict) else None
        if isinstance(url, str) and (before := first.setdefault(_origin(url), index)) != index:
            yield Miss((index, member), f"is the same server as item {before}")


def ip_network(wanted: bool, value: Any) -> Iterator[Miss]:
    """An IPv4 address written as an IPv6 one would match nothing, so it is none either."""
    if wanted and isinstance(value, str) and not _is_network(value):
        yield Miss((), "must be an IP address, or a network without bits behind its mask")


def max_bytes(most: int, value: Any) -> Iterator[Miss]:
    """In UTF-8; a document has no halves of surrogate pairs."""
    if isinstance(value, str) and len(value.encode()) > most:
        yield Miss((), f"must have at most {most} bytes")


VOCABULARY: dict[str, tuple[type, Callable[[Any, Any], Iterator[Miss]]]] = {
    "uniqueOrigins": (str, unique_origins),
    "maxBytes": (int, max_bytes),
    "ipNetwork": (bool, ip_network),
}
"""The type of each keyword's value, and what judges by it."""


@lru_cache(maxsize=2048)
def _origin(url: str) -> str:
    """One spelling for each origin (RFC 6454, 4); what is none stays as it is."""
    match = _ORIGIN.fullmatch(url)
    if match is None:
        return url
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    number = int(port) if port else _DEFAULT_PORTS.get(scheme, 0)
    return f"{scheme}://{_address(host[1:-1]) if host.startswith('[') else host}:{number}"


def _address(text: str) -> str:
    try:
        return f"[{ip_address(text)}]"
    except ValueError:
        return text


def _is_network(text: str) -> bool:
    if not _NETWORK.fullmatch(text):
        return False
    try:
        found = ip_interface(text)
    except ValueError:
        return False
    mapped = isinstance(found.ip, IPv6Address) and found.ip.ipv4_mapped is not None
    return found.ip == found.network.network_address and not mapped
