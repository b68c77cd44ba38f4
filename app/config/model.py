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

    `tls` stands only beside `https://`, where None means `TlsConfig()`. `drain`: it gets nothing new.
    """

    url: str
    weight: int = 1
    tls: TlsConfig | None = None
    drain: bool = False


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
    """What a request may weigh, in bytes; and counts: its `headers`, and what there may be at one time.

    `requests` and `per_server` are of requests under way; `queue` of those that wait for one of these to end,
    at most `queue_time` seconds.
    """

    head_bytes: int = 64 * 1024
    target_bytes: int = 16 * 1024
    headers: int = 100
    body_bytes: int | None = None
    connections: int = 10_000
    requests: int | None = None
    per_server: int | None = None
    queue: int = 1000
    queue_time: float = 1.0


# A status, or a class of them: "5xx".
Status = int | str


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Probes of each server, unless `path` is None. `rise`, `fall`: so many in a row change what is thought of it.

    `host`: the probes' Host; None: the server's own. `slow_start`: how long a server that is back takes to have
    its full share, after whatever kept it away.
    """

    path: str | None = None
    interval: float = 2.0
    timeout: float = 1.0
    statuses: tuple[Status, ...] = ("2xx", "3xx")
    rise: int = 2
    fall: int = 3
    host: str | None = None
    slow_start: float | None = 10.0


@dataclass(frozen=True, slots=True)
class OutlierConfig:
    """When a server is ejected for what it does to requests: `consecutive` failures, or a `rate` of them.

    The rate counts once `min_requests` have ended within the last `window`. `ejection`: how long the first
    lasts. `max_ejected`: share of a version's servers.
    """

    consecutive: int | None = 5
    rate: float | None = 0.5
    window: float = 10.0
    min_requests: int = 20
    ejection: float = 10.0
    max_ejected: float = 0.5


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """Which requests are tried again at another server. `attempts`: tries in all.

    `on`: statuses, and the kinds of balance.failure. `budget`: second tries of all kinds, as a share of
    requests. `try_timeout`: to the head of the answer, while another try may follow. `backoff`: the longest
    pause before the first.
    """

    attempts: int = 3
    on: tuple[Status, ...] = ("connect", "reset", "timeout", 502, 503, 504)
    methods: tuple[str, ...] = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
    budget: float = 0.2
    try_timeout: float | None = None
    backoff: float | None = 0.025


@dataclass(frozen=True, slots=True)
class RescueConfig:
    """Paths that the other version may have, by how they end, and how long it is remembered which one has them."""

    suffixes: tuple[str, ...] = (
        *(".js", ".mjs", ".css", ".map", ".wasm"),
        *(".woff", ".woff2", ".ttf", ".otf"),
        *(".svg", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".ico"),
    )
    remember: float = 300.0


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
    health: HealthConfig = field(default_factory=HealthConfig)
    outlier: OutlierConfig = field(default_factory=OutlierConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    shield: str = "safe"
    shield_on: tuple[Status, ...] = (500, 502, 503, 504)
    rescue: RescueConfig | None = None
    failover: str = "none"
