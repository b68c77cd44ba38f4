"""What a web page must not make a browser do to a server on localhost.

Form bodies are accepted, so a page of any site could post one: its Origin betrays it. A name that a stranger's DNS
points at 127.0.0.1 (rebinding) would make such a page same-origin: its Host betrays it.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from kv.asked import Asked
from kv.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]*)?")


def guard(request: Asked, names: frozenset[str] = frozenset()) -> None:
    """Raises Forbidden. `names`: hosts to answer to, in lower case, besides IP addresses and localhost."""
    host = request.field("Host")
    if host is not None and not is_known_host(host, names):
        raise Forbidden("the Host is not an IP address, localhost or a configured name")
    origin = request.field("Origin")
    if origin is not None and request.method not in SAFE_METHODS and not _is_ours(origin, host):
        raise Forbidden("a page of another origin may not write here")


@lru_cache(maxsize=64)
def is_known_host(host: str, names: frozenset[str] = frozenset()) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["v6"] or match["name"]).lower().removesuffix(".")
    return name == "localhost" or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_ours(origin: str, host: str | None) -> bool:
    return host is not None and origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
