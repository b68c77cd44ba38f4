"""Documents for the tests of the schema: single changes to a small valid one, and any valid one at all."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

from hypothesis import strategies as st

from app.config.schema import KINDS

SMALL: dict[str, Any] = {"stable": {"servers": [{"url": "http://a"}]}}


def with_change(path: str, value: Any) -> dict[str, Any]:
    """SMALL, but with `value` at a dotted path; `stable.servers` and the like stand beside what is there."""
    name, _, rest = path.partition(".")
    inner = SMALL.get(name, {})
    return SMALL | {name: inner | {rest: value} if rest else value}


def servers(least: int, *hosts: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    places = st.builds("{}:{}".format, st.sampled_from(hosts), ports)
    paths = st.builds("/run/{}/{}".format, st.sampled_from(hosts), names)
    plain = {"url": places.map("http://".__add__) | paths.map("unix:".__add__)}
    secure = {"url": places.map("https://".__add__)}
    weights = {"weight": st.integers(1, 1000), "drain": st.just(False)}
    server = st.one_of(
        st.fixed_dictionaries(plain, optional=weights | {"tls": st.none()}),
        st.fixed_dictionaries(secure, optional=weights | {"tls": st.none() | tls}),
    )
    return st.lists(server, min_size=least, max_size=4, unique_by=lambda each: each["url"])


def durations(low: float, high: float) -> st.SearchStrategy[float | str]:
    millis = st.integers(int(low * 1000) or 1, int(high * 1000)).map("{}ms".format)
    return st.floats(low, high) | millis


names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)
host_names = st.from_regex(r"[a-z0-9_]{1,8}(\.[A-Z][A-Z-]{0,8}[a-z]){0,2}", fullmatch=True)
ports = st.integers(1, 65535)
tls = st.one_of(
    st.fixed_dictionaries({}, optional={"name": st.none() | host_names, "verify": st.booleans()}),
    st.fixed_dictionaries({"ca": names.map("/etc/{}.pem".format)}, optional={"verify": st.just(True)}),
)
addresses = st.ip_addresses(v=4) | st.ip_addresses(network="2001:db8::/32") | st.just("::1")
networks = st.builds(
    lambda address, length: ip_interface(f"{address}/{length}").network,
    st.ip_addresses(),
    st.integers(0, 32),
)
balances = st.sampled_from(["round_robin", "random", "least_connections"])
off = st.sampled_from([None, "off"])


def options(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object in which any of these may be missing."""
    return st.fixed_dictionaries({}, optional=fields)


def statuses(least: int, low: int, *words: str) -> st.SearchStrategy[list[int | str]]:
    return st.lists(st.integers(low, 599) | st.sampled_from(["5xx", *words]), min_size=least, max_size=4)


health = options(
    path=st.none() | names.map("/{}?a=b".format),
    interval=durations(0.05, 3600),
    statuses=statuses(1, 100, "1xx", "2xx"),
    rise=st.integers(1, 100),
    host=st.none() | host_names | ports.map("[::1]:{}".format),
    slow_start=off | durations(1, 3600),
)
outlier = options(
    consecutive=off | st.integers(1, 1000), rate=off | st.floats(0.01, 1), window=durations(1, 3600)
)
retry = options(
    attempts=st.integers(1, 10),
    on=statuses(0, 400, "connect", "reset", "timeout"),
    methods=st.lists(names, max_size=3),
    try_timeout=off | durations(0.05, 3600),
    backoff=off,
)
rescue = options(
    suffixes=st.lists(names.map(".{}".format), min_size=1, max_size=3), remember=durations(1, 3600)
)
overrides = st.one_of(
    st.fixed_dictionaries(
        {
            kind: names.map("/".__add__) if kind == "path_prefix" else names,
            "version": st.sampled_from(["stable", "canary"]),
        },
        optional={"value": st.none() | names},
    )
    for kind in KINDS
)
documents = st.fixed_dictionaries(
    {
        "stable": st.fixed_dictionaries(
            {"servers": servers(1, "a", "10.0.0.1", "[::1]")}, optional={"balance": balances}
        )
    },
    optional={
        "canary": st.fixed_dictionaries(
            {}, optional={"servers": servers(0, "b.example"), "balance": balances}
        ),
        "style": st.sampled_from(["ratio", "random", "hash", "round_robin", "least_connections"]),
        "ratio": st.floats(0, 1) | st.sampled_from([0, 1]),
        "sticky_sessions": st.booleans(),
        "config_server": st.none() | ports.map("http://a:{}, https://b".format),
        "update_rate": durations(0.05, 3600),
        "salt": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=16),
        "sticky": st.fixed_dictionaries(
            {},
            optional={
                "cookie": names,
                "ttl": durations(1, 400 * 86400),
                "key": st.none() | st.sampled_from(["header", "cookie"]).map(lambda kind: {kind: "X-User"}),
            },
        ),
        "overrides": st.lists(overrides, max_size=3),
        "timeouts": st.fixed_dictionaries(
            {},
            optional={
                "connect": durations(0.01, 60),
                "request": off | durations(0.1, 86400),
                "body_rate": off,
                "tunnel_idle": off | durations(0.1, 86400),
            },
        ),
        "limits": options(
            headers=st.integers(8, 1000),
            body_bytes=off,
            per_server=off | st.integers(1, 1_000_000),
            queue=st.integers(0, 1_000_000),
            queue_time=durations(0.01, 60),
        ),
        "trusted_proxies": st.lists((addresses | networks).map(str), max_size=3),
        "underscored_headers": st.sampled_from(["drop", "pass", "refuse"]),
        "health": health,
        "outlier": outlier,
        "retry": retry,
        "shield": st.sampled_from(["off", "safe", "idempotent"]),
        "shield_on": statuses(0, 500),
        "rescue": st.none() | rescue,
        "failover": st.sampled_from(["none", "canary"]),
    },
)
