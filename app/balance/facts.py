"""What the balancer may ask of a request. It knows neither HTTP nor where the answers come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Facts(Protocol):
    """What may decide where a request goes; all of it bytes as the client sent them.

    `path` is the target without its query, `client` the address the request came from.
    A name asked for is one from the config document; header names are given in lower case.
    `bucket` is where the balancer notes the first 20 bits of a visitor's point, who sticks.
    """

    bucket: int

    @property
    def path(self) -> bytes: ...

    @property
    def client(self) -> bytes: ...

    def header(self, name: bytes) -> bytes | None:
        """The value of the header `name`, or None without one."""

    def cookie(self, name: bytes) -> bytes | None:
        """The value of the cookie `name`, or None without one."""

    def query(self, name: bytes) -> bytes | None:
        """The percent-decoded value of the first query field `name`, or None without one."""


Read = Callable[[Facts], bytes | None]


def _header(name: bytes) -> Read:
    name = name.lower()
    return lambda facts: facts.header(name)


def _cookie(name: bytes) -> Read:
    return lambda facts: facts.cookie(name)


def _query(name: bytes) -> Read:
    return lambda facts: facts.query(name)


def _next_segment(prefix: bytes) -> Read:
    """The path segment after `prefix`: empty when the path ends there, None when it is not under it."""
    prefix = prefix.rstrip(b"/")
    below = prefix + b"/"

    def read(facts: Facts) -> bytes | None:
        path = facts.path
        if path.startswith(below):
            return path[len(below) :].partition(b"/")[0]
        return b"" if path == prefix else None

    return read


READERS: dict[str, Callable[[bytes], Read]] = {
    "header": _header,
    "cookie": _cookie,
    "query": _query,
    "path_prefix": _next_segment,
}


def reader(kind: str, name: str) -> Read:
    """A function that reads the named thing from a request; `kind` is a key of READERS."""
    return READERS[kind](name.encode())
