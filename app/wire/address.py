"""IP addresses as values. Knows nothing of names: those are for a resolver."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

IPAddress = IPv4Address | IPv6Address


def unmapped(address: IPAddress) -> IPAddress:
    """The same host under its one name: a dual-stack socket calls 192.0.2.1 ::ffff:192.0.2.1 (RFC 4291, 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
