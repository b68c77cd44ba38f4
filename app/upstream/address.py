"""Where a server is: its URL taken apart, and its name resolved outside of any request."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gevent import socket

from app.errors import UpstreamError

# (family, socket address), as connect() wants them.
Endpoint = tuple[int, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Address:
    """`authority` is what stands in the URL, for a Host field."""

    host: str
    port: int
    authority: bytes

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take apart an `http://host[:port]` URL, which the schema has already checked."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or 80, parts.netloc.encode())

    @property
    def is_literal(self) -> bool:
        """Is the host an IP address, which never needs resolving?"""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def resolve(self) -> list[Endpoint]:
        """Ask the resolver (it waits, but never holds the hub). Raises UpstreamError."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UpstreamError("name_not_found", 502, sent=False) from error
        return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found]
