"""Addresses as the config document writes them: `scheme://host[:port]` and nothing after, or `unix:/path`.

Stricter than RFC 3986 where laxness only hides a slip: no path, no user, no percent-encoding. Knows the
grammar of a host and of a socket's path, never whether anybody answers there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_HOST = 253
LONGEST_PATH = 107  # bytes: what Linux has room for in sockaddr_un, see unix(7)
BLANKS = " \t\r\n"

# RFC 1123 §2.1 labels; the underscore is no hostname's, but service names of container networks have it.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_NAME = re.compile(rf"{HOST_NAME}\.?")
_ORIGIN = re.compile(r"([a-z]+)://(\[[0-9A-Fa-f:.]*\]|[^\[\]:/?#@]*)(?::([0-9]{1,5}))?")
_PATH = re.compile(r"[!-~]+")
_LOOKS_LIKE_IPV4 = re.compile(r"(?:.*\.)?[0-9]+\.?")


class Origin(NamedTuple):
    """Where to connect. `host` is lower case and without the brackets of an IPv6 literal.

    For `unix:/path` it is the path, and `port` is 0.
    """

    scheme: str
    host: str
    port: int


# A document names each server several times, and most changes leave all servers what they are.
@lru_cache(maxsize=2048)
def split_origin(url: str, schemes: tuple[str, ...] = ("http", "https", "unix")) -> Origin:
    """The parts of `url`, its port filled in.

    Raises ValueError with a sentence that never repeats `url`, which may hold a password.
    """
    if url.startswith("unix:") and "unix" in schemes:
        return Origin("unix", _path(url.removeprefix("unix:")), 0)
    _refuse_extras(url)
    match = _ORIGIN.fullmatch(url)
    if match is None:
        raise ValueError(f"it is not of the form {schemes[0]}://host:port")
    scheme, host, port = match.groups()
    if scheme not in schemes:
        raise ValueError(f"the scheme {scheme}: is not supported here")
    return Origin(scheme, _host(host), _port(port, scheme))


def split_origins(urls: str) -> tuple[str, ...]:
    """The addresses in a comma-separated list, http or https; raises ValueError when one is none."""
    found = tuple(url.strip(BLANKS).removesuffix("/") for url in urls.split(","))
    for url in found:
        split_origin(url, ("http", "https"))
    return found


def _refuse_extras(url: str) -> None:
    """Name the commonest slips apart: "not of the form" would leave the reader searching."""
    if url.startswith("unix:"):
        raise ValueError("the scheme unix: is not supported here")
    rest = url.partition("://")[2]
    if "@" in rest:
        raise ValueError("a user or password has no place in it")
    if any(mark in rest for mark in "/?#"):
        raise ValueError("it ends after the port: no slash, path or query")


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("its path does not begin with a slash")
    if {"", ".", ".."} & set(path[1:].split("/")):
        raise ValueError('its path has an empty, a "." or a ".." segment')  # one socket, one spelling
    if not _PATH.fullmatch(path):
        raise ValueError("its path is not printable ASCII without blanks")
    if len(path) > LONGEST_PATH:
        raise ValueError(f"its path is longer than {LONGEST_PATH} bytes")
    return path


def _host(host: str) -> str:
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1]))
        if _LOOKS_LIKE_IPV4.fullmatch(host):
            return str(IPv4Address(host))
    except AddressValueError:
        raise ValueError("its host is no valid IP address") from None
    if len(host) > LONGEST_HOST or not _NAME.fullmatch(host):
        raise ValueError("its host is no valid name or address")
    return host.lower()


def _port(port: str | None, scheme: str) -> int:
    number = DEFAULT_PORTS[scheme] if port is None else int(port)
    if not 1 <= number <= 65535:
        raise ValueError("its port is not from 1 to 65535")
    return number
