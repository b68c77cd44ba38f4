"""Who may ask the pilot for something: what a web page must not make a browser do, and who has the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection

from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Request

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]*)?")


def guard(request: Request, token: str | None, names: Collection[str] = ()) -> None:
    """Raises Forbidden or Unauthorized. `names`: hosts to answer to besides IP addresses and localhost.

    A name that a stranger's DNS points here betrays itself by the Host, a page of another site by its Origin. A
    write needs the token, if there is one.
    """
    host = request.environ.get("HTTP_HOST", "")
    if host and not _is_known(host, names):
        raise Forbidden("the Host is not an IP address, localhost or a configured name")
    if request.method in _SAFE:
        return
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        raise Forbidden("a page of another origin may not write here")
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and not (kind.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())):
        raise Unauthorized("this needs the pilot's token: Authorization: Bearer …")


def is_loopback(host: str) -> bool:
    """Is it this machine only?"""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_known(host: str, names: Collection[str]) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match[1] or match[2]).lower().removesuffix(".")
    try:
        return name == "localhost" or name in names or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
