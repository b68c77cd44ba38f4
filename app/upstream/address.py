"""Where a server is: its URL taken apart, and its name resolved outside of any request."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from gevent import socket

from app.config.origin import split_origin
from app.errors import UpstreamError

# (family, socket address), as connect() wants them.
Endpoint = tuple[int, tuple[str, int] | str]


@dataclass(frozen=True, slots=True)
class Address:
    """`authority` is what stands in the URL, for a Host field. `scheme`: http, https or unix.

    For `unix`, `host` is the socket's path.
    """

    host: str
    port: int
    authority: bytes
    scheme: str = "http"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take apart the URL of a server, which the schema has already checked."""
        scheme, host, port = split_origin(url)
        authority = "localhost" if scheme == "unix" else url.partition("://")[2]
        return cls(host, port, authority.encode(), scheme)

    @property
    def is_literal(self) -> bool:
        """Is the host an IP address or a path, which never needs resolving?"""
        if self.scheme == "unix":
            return True
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def resolve(self) -> list[Endpoint]:
        """Ask the resolver (it waits, but never holds the hub). Raises UpstreamError."""
        if self.scheme == "unix":
            return [(socket.AF_UNIX, self.host)]
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UpstreamError("name_not_found", 502, sent=False) from error
        return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found]
