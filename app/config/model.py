"""The config document as immutable values. What may stand in them is said in `schema`, nowhere else.

Durations are seconds, sizes bytes, shares numbers from 0 to 1. None means "off" or "not given".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How an `https://` server proves who it is.

    `ca`: path of a PEM file with the authorities to trust; None: the system's.
    `name`: the host name to ask for (SNI) and to verify; None: the URL's host.
    """

    ca: str | None = None
    name: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One address of a version: `url` is `http://` or `https://host[:port]`, or `unix:/path`.

    `tls` stands only beside `https://`, where None means `TlsConfig()`.
    """

    url: str
    weight: int = 1
    tls: TlsConfig | None = None


@dataclass(frozen=True, slots=True)
class VersionConfig:
    """The servers of one version and how the next of them is chosen."""

    servers: tuple[ServerConfig, ...] = ()
    balance: str = "round_robin"


@dataclass(frozen=True, slots=True)
class StickyKey:
    """Where a visitor's own identity stands in a request: `kind` is `header` or `cookie`."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class StickyConfig:
    """The cookie that carries a visitor's id, or the header or cookie that already does."""

    cookie: str = "serin"
    ttl: float = 30 * 86400.0
    key: StickyKey | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A request that shows this goes to `version`. `kind`: `header`, `cookie`, `query` or `path_prefix`.

    `name` is the name of the header, cookie or query field, or the prefix itself.
    `value` None: being there is enough.
    """

    kind: str
    name: str
    value: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds, but `body_rate`: the least bytes a second a body must make. None: no limit."""

    client_head: float = 10.0
    client_idle: float = 75.0
    body_rate: float | None = 1024.0
    connect: float = 1.0
    head: float = 30.0
    upstream_idle: float = 60.0
    request: float | None = None
    tunnel_idle: float | None = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may weigh. Bytes, but `headers` and `connections`, which are counts."""

    head_bytes: int = 64 * 1024
    target_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int | None = None
    connections: int = 10_000


@dataclass(frozen=True, slots=True)
class Config:
    """One config document, whole and valid."""

    stable: VersionConfig
    canary: VersionConfig = VersionConfig()
    style: str = "ratio"
    ratio: float = 0.0
    sticky_sessions: bool = False
    config_server: str | None = None
    update_rate: float = 1.0
    salt: str = ""
    sticky: StickyConfig = field(default_factory=StickyConfig)
    overrides: tuple[Override, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    underscored_headers: str = "drop"
