from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from app.config.model import Config, Override, RescueConfig, ServerConfig, StickyKey, TlsConfig, VersionConfig
from app.config.schema import dump, load, parse
from app.errors import InvalidConfig
from tests.config.documents import SMALL, with_change

STYLES = '"ratio", "random", "hash", "round_robin" or "least_connections"'
SERVES = "must have at least one server with a weight above 0 and without drain"
PROXIES = "a list of at most 256 IP addresses and networks"


def faults(data: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as refusal:
        load(data)
    return refusal.value.faults


def test_what_is_not_given_has_the_models_default() -> None:
    assert load(SMALL) == Config(stable=VersionConfig((ServerConfig("http://a"),)))


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("250ms", 0.25), ("5s", 5), ("10m", 600), ("0.5h", 1800), (0.05, 0.05), (3600, 3600), ("1.5s", 1.5)],
)
def test_durations(given: Any, seconds: float) -> None:
    assert load(SMALL | {"update_rate": given}).update_rate == seconds


@pytest.mark.parametrize(
    "field",
    [
        *("timeouts.request", "timeouts.body_rate", "timeouts.tunnel_idle"),
        *("limits.body_bytes", "limits.requests", "limits.per_server"),
        *("health.slow_start", "outlier.consecutive", "outlier.rate", "retry.try_timeout", "retry.backoff"),
    ],
)
@pytest.mark.parametrize("value", [None, "off"])
def test_what_may_be_off(field: str, value: Any) -> None:
    section, name = field.split(".")
    assert getattr(getattr(load(with_change(field, value)), section), name) is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"header": "X-Canary", "version": "canary"}, Override("header", "X-Canary", None, "canary")),
        ({"cookie": "c", "value": "v", "version": "stable"}, Override("cookie", "c", "v", "stable")),
        ({"query": "q ü", "value": None, "version": "canary"}, Override("query", "q ü", None, "canary")),
        (
            {"path_prefix": "/beta", "value": "x", "version": "canary"},
            Override("path_prefix", "/beta", "x", "canary"),
        ),
    ],
)
def test_overrides(override: dict[str, Any], expected: Override) -> None:
    assert load(SMALL | {"overrides": [override]}).overrides == (expected,)


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("10.0.0.0/8", ip_network("10.0.0.0/8")),
        ("10.1.2.3", ip_network("10.1.2.3/32")),
        ("0.0.0.0/0", ip_network("0.0.0.0/0")),
        ("2001:DB8::/32", ip_network("2001:db8::/32")),
        ("::1", ip_network("::1/128")),
        ("::/0", ip_network("::/0")),
    ],
)
def test_trusted_proxies(given: str, network: Any) -> None:
    config = load(SMALL | {"trusted_proxies": [given]})
    assert config.trusted_proxies == (network,)
    assert dump(config)["trusted_proxies"] == [str(network)]


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({"url": "https://a"}, ServerConfig("https://a")),
        ({"url": "https://a", "tls": None}, ServerConfig("https://a")),
        ({"url": "https://a", "tls": {}}, ServerConfig("https://a", tls=TlsConfig())),
        (
            {"url": "https://10.0.0.1:8443", "tls": {"ca": "ca.pem", "name": "web_1.internal"}},
            ServerConfig("https://10.0.0.1:8443", tls=TlsConfig(ca="ca.pem", name="web_1.internal")),
        ),
        (
            {"url": "https://a", "tls": {"ca": None, "verify": False}},
            ServerConfig("https://a", tls=TlsConfig(verify=False)),
        ),
        ({"url": "unix:/run/web.sock", "tls": None}, ServerConfig("unix:/run/web.sock")),
    ],
)
def test_servers(server: dict[str, Any], expected: ServerConfig) -> None:
    (found,) = load(with_change("stable.servers", [server])).stable.servers
    assert found == expected
    assert hash(found) == hash(expected)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("health.statuses", 99, 'one of "1xx", "2xx", "3xx", "4xx", "5xx", or a status from 100 to 599'),
        (
            "retry.on",
            "500",
            'one of "connect", "reset", "timeout", "4xx", "5xx", or a status from 400 to 599',
        ),
        ("shield_on", "4xx", 'one of "5xx", or a status from 500 to 599'),
    ],
)
def test_the_sentence_about_a_status(field: str, value: Any, text: str) -> None:
    assert faults(with_change(field, [500, value])) == {
        f"{field}[1]": f"got {json.dumps(value)}, must be {text}"
    }


def test_statuses_and_words_stand_side_by_side() -> None:
    config = load(SMALL | {"retry": {"on": ["connect", 503.0, "5xx"]}, "health": {"statuses": [418, "2xx"]}})
    assert (config.retry.on, config.health.statuses) == (("connect", 503, "5xx"), (418, "2xx"))


def test_rescue_is_off_until_it_is_given() -> None:
    assert load(SMALL).rescue is load(SMALL | {"rescue": None}).rescue is None
    assert load(SMALL | {"rescue": {}}).rescue == RescueConfig()


def test_a_sticky_key() -> None:
    assert load(with_change("sticky.key", {"header": "X-User"})).sticky.key == StickyKey("header", "X-User")


def test_a_ratio_without_canary_is_allowed() -> None:
    assert load(SMALL | {"ratio": 1}).canary == VersionConfig()


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("style", "ratoi", f'got "ratoi", must be {STYLES}; did you mean "ratio"?'),
        ("style", 7, f"got 7, must be {STYLES}"),
        ("style", None, f"got null, must be {STYLES}"),
        ("ratio", 7, "got 7, must be a number from 0 to 1"),
        ("ratio", -0.001, "got -0.001, must be a number from 0 to 1"),
        ("ratio", True, "got true, must be a number from 0 to 1"),
        ("ratio", "0.5", 'got "0.5", must be a number from 0 to 1'),
        ("ratio", float("nan"), "got NaN, must be a number from 0 to 1"),
        ("ratio", 10**400, "got a very long number, must be a number from 0 to 1"),
        ("ratio", [0.5], "got a list, must be a number from 0 to 1"),
        ("sticky_sessions", "yes", 'got "yes", must be true or false'),
        ("sticky_sessions", 1, "got 1, must be true or false"),
        ("limits.headers", 8.5, "got 8.5, must be a whole number from 8 to 1,000"),
        ("sticky", [], "got a list, must be an object"),
        ("canary", None, "got null, must be an object"),
        ("overrides", {}, "got an object, must be a list of at most 256 objects"),
        ("overrides", [{}] * 257, "got 257 of them, must be a list of at most 256 objects"),
        ("stable.servers", None, "got null, must be a list of at most 1000 objects"),
        ("stable.servers", [], SERVES),
        ("stable.servers", [{"url": "http://a", "drain": True}], SERVES),
        ("sticky.key", {}, "must have exactly one of header, cookie; has 0"),
        ("sticky.key", {"header": "a", "cookie": "b"}, "must have exactly one of header, cookie; has 2"),
        ("underscored_headers", "keep", 'got "keep", must be "drop", "pass" or "refuse"'),
        ("trusted_proxies", "::1", f'got "::1", must be {PROXIES}'),
        ("trusted_proxies", None, f"got null, must be {PROXIES}"),
        ("trusted_proxies", ["::1"] * 257, f"got 257 of them, must be {PROXIES}"),
        ("health.statuses", [], "got 0 of them, must be a list of 1 to 64 statuses"),
        ("shield", "post", 'got "post", must be "off", "safe" or "idempotent"'),
        ("rescue", "on", 'got "on", must be an object'),
        (
            "outlier.consecutive",
            0,
            'got 0, must be a whole number from 1 to 1,000, or null or "off" for no limit',
        ),
        (
            "health.slow_start",
            0,
            'got 0, must be seconds as a number or a text like "250ms", "5s", "10m" or "2h", from 1s to 1h, '
            'or null or "off" for no delay',
        ),
        ("ratoi", 1, 'no field is called "ratoi"; did you mean "ratio"?'),
        ("stable.weights", 1, 'no field is called "weights"'),
    ],
)
def test_the_sentence(path: str, value: Any, text: str) -> None:
    assert faults(with_change(path, value)) == {path: text}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(
            ("update_rate", bad)
            for bad in ["", "5", "5 s", "s", "-1s", "2d", "1e2s", "49ms", "61m", 0, "9" * 400 + "s"]
        ),
        *(("config_server", bad) for bad in ["", "a", "ftp://a", "http://a,", "http://a/b", "http://u@a", 7]),
        *(("salt", bad) for bad in ["x" * 65, "ü" * 33, "a\n", "\ud800", 7, None]),
        *(("sticky.cookie", bad) for bad in ["", "a b", "a=b", "a;", "ü", "x" * 257, None]),
        *(("sticky.ttl", bad) for bad in [0, "9601h"]),
        *(("timeouts.tunnel_idle", bad) for bad in [0, "25h", "never"]),
        *(("timeouts.connect", bad) for bad in [0, "off", None, "2m"]),
        *(("limits.head_bytes", bad) for bad in [0, "64KiB", True, None]),
        ("stable.balance", "hash"),
    ],
)
def test_refused(path: str, value: Any) -> None:
    assert list(faults(with_change(path, value))) == [path]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("10.0.0.1/8", "10.0.0.1/8 (it has bits set behind its mask; the network is 10.0.0.0/8)"),
        ("2001:db8::1/32", "2001:db8::1/32 (it has bits set behind its mask; the network is 2001:db8::/32)"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1 (an IPv4 address is written as one)"),
        *(
            (bad, bad)
            for bad in [
                "",
                "localhost",
                "10.0.0",
                "10.0.0.1:80",
                "10.0.0.0/33",
                "10.0.0.0/",
                "[::1]",
                "::/129",
            ]
        ),
        *((bad, bad) for bad in ["10.0.0.0/255.0.0.0", "fe80::1%eth0", "010.0.0.1", " ::1", "::1/128/128"]),
    ],
)
def test_the_sentence_about_a_network(given: str, text: str) -> None:
    shown, _, more = text.partition(" (")
    rule = 'an IP address, or a network like "10.0.0.0/8" or "2001:db8::/32"'
    assert faults(SMALL | {"trusted_proxies": ["::1", given]}) == {
        "trusted_proxies[1]": f'got "{shown}", must be {rule}' + (f" ({more}" if more else "")
    }


@pytest.mark.parametrize(
    ("server", "field", "text"),
    [
        (
            {"url": "unix:run/web@1.sock"},
            "url",
            'got "unix:run/web@1.sock", must be http://host[:port], https://host[:port] or unix:/path '
            "(its path does not begin with a slash)",
        ),
        ({"url": "http://a", "tls": {}}, "tls", "stands only beside a url that begins with https://"),
        ({"url": "unix:/a", "tls": {}}, "tls", "stands only beside a url that begins with https://"),
        ({"url": "https://a", "tls": True}, "tls", "got true, must be an object"),
        (
            {"url": "https://a", "tls": {"ca": "a.pem", "verify": False}},
            "tls.ca",
            "has no use while verify is false",
        ),
        (
            {"url": "https://a", "tls": {"ca": ""}},
            "tls.ca",
            'got "", must be the path of a file, without control characters, at most 1024 bytes, or null',
        ),
        (
            {"url": "https://a", "tls": {"name": "a."}},
            "tls.name",
            'got "a.", must be a host name without a dot at its end, at most 253 bytes, or null',
        ),
        (
            {"url": "https://a", "tls": {"verify": None}},
            "tls.verify",
            "got null, must be true or false",
        ),
        (
            {"url": "https://a", "tls": {"cas": "a"}},
            "tls.cas",
            'no field is called "cas"; did you mean "ca"?',
        ),
    ],
)
def test_the_sentence_about_a_server(server: dict[str, Any], field: str, text: str) -> None:
    data = with_change("stable.servers", [server])
    assert faults(data) == {f"stable.servers[0].{field}": text}


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("http://A:80", "http://a"),
        ("https://A:443", "https://a"),
        ("https://[::1]", "https://[0::1]:443"),
        ("unix:/run/web.sock", "unix:/run/web.sock"),
    ],
)
def test_no_server_stands_twice_in_a_version(one: str, same: str) -> None:
    data = with_change("stable.servers", [{"url": one}, {"url": same}])
    assert faults(data) == {"stable.servers[1].url": "is the same server as servers[0]"}


def test_servers_that_differ_only_a_little_are_two() -> None:
    urls = ["http://a", "https://a", "http://a:443", "unix:/a", "unix:/A", "unix:/a:80"]
    assert load(with_change("stable.servers", [{"url": url} for url in urls]))


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"url": "ftp://a"}, ".url"),
        ({"url": "unix:run/web.sock"}, ".url"),
        ({"url": "http://a/path"}, ".url"),
        ({"url": 7}, ".url"),
        ({}, ".url"),
        ({"url": "http://b", "weight": 1001}, ".weight"),
        ({"url": "http://b", "weight": -1}, ".weight"),
        ({"url": "http://b", "weight": "1"}, ".weight"),
        ({"url": "http://b", "wieght": 1}, ".wieght"),
        ({"url": "http://A:80"}, ".url"),
        ("http://b", ""),
    ],
)
def test_a_faulty_server_is_named(server: Any, field: str) -> None:
    assert list(faults(with_change("stable.servers", [{"url": "http://a"}, server]))) == [
        f"stable.servers[1]{field}"
    ]


def test_a_server_may_be_in_both_versions() -> None:
    assert load(SMALL | {"canary": SMALL["stable"]}).canary == load(SMALL).stable


@pytest.mark.parametrize(
    ("stable", "canary", "fits"),
    [
        (None, {}, True),
        ({"name": "b"}, {"name": "b"}, True),
        ({"name": "b"}, {"name": "c"}, False),
        ({"verify": False}, None, False),
    ],
)
def test_a_server_in_both_versions_has_one_tls(stable: Any, canary: Any, fits: bool) -> None:
    data = {
        "stable": {"servers": [{"url": "https://a", "tls": stable}]},
        "canary": {"servers": [{"url": "https://b"}, {"url": "https://A:443", "tls": canary}]},
    }
    if fits:
        assert load(data)
    else:
        text = "is not the same as in stable, which has this server too"
        assert faults(data) == {"canary.servers[1].tls": text}


def test_a_stable_without_weight_serves_nobody() -> None:
    drained = [{"url": "http://a", "weight": 0}]
    assert list(faults(with_change("stable.servers", drained))) == ["stable.servers"]
    assert load(SMALL | {"canary": {"servers": drained}})


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ({"version": "canary"}, ""),
        ({"header": "a", "query": "b", "version": "canary"}, ""),
        ({"header": "a"}, ".version"),
        ({"header": "a", "version": "blue"}, ".version"),
        ({"header": "a b", "version": "canary"}, ".header"),
        ({"cookie": "a;b", "version": "canary"}, ".cookie"),
        ({"query": "", "version": "canary"}, ".query"),
        ({"path_prefix": "beta", "version": "canary"}, ".path_prefix"),
        ({"path_prefix": "/a?b", "version": "canary"}, ".path_prefix"),
        ({"header": "a", "value": " x", "version": "canary"}, ".value"),
        ({"cookie": "a", "value": "x y", "version": "canary"}, ".value"),
        ({"query": "a", "value": "", "version": "canary"}, ".value"),
        ({"path_prefix": "/a", "value": "x/y", "version": "canary"}, ".value"),
    ],
)
def test_a_faulty_override_is_named(override: dict[str, Any], field: str) -> None:
    assert list(faults(SMALL | {"overrides": [override]})) == [f"overrides[0]{field}"]


def test_all_faults_are_told_at_once() -> None:
    assert set(faults({"ratio": 7, "style": 8, "stable": {}, "x": 1})) == {
        "ratio",
        "style",
        "stable.servers",
        "x",
    }


@pytest.mark.parametrize(
    "data",
    [
        with_change("salt", "hush-hush" * 10),
        with_change("stable.servers", [{"url": "http://user:hush-hush@a"}]),
        with_change("config_server", "http://user:hush-hush@a"),
        SMALL | {"overrides": [{"cookie": "a", "value": "hush-hush;", "version": "canary"}]},
        SMALL | {"overrides": [{"header": "a", "value": "hush-hush" * 200, "version": "canary"}]},
    ],
)
def test_no_secret_is_repeated(data: Any) -> None:
    assert "hush" not in str(faults(data))


@pytest.mark.parametrize("key", ["a\nb", "\ud800", "x" * 100_000, "_schema", "", "a.b"])
def test_a_strange_key_makes_one_printable_line(key: str) -> None:
    text = str(InvalidConfig(faults(SMALL | {key: 1})))
    assert text.isprintable()
    assert len(text) < 300


def test_a_flood_of_faults_is_cut_short() -> None:
    assert len(faults(SMALL | {f"key{number}": 1 for number in range(50_000)})) == 20


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"not JSON", "is not JSON: Expecting value at line 1, column 1"),
        (b"[]", "got a list, must be an object"),
        (b"null", "got null, must be an object"),
        (b'{"ratio": NaN}', "is not JSON: NaN is not a JSON number"),
        (b'{"ratio": 0, "ratio": 1}', 'is not JSON: the name "ratio" stands twice in one object'),
        (b" " * 10_485_760, "got 10,485,760 bytes, must be at most 524,288"),
    ],
)
def test_what_is_no_document_at_all(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        parse(raw)
    assert refusal.value.faults == {"": why}


def test_the_example_is_valid_and_its_dump_is_plain_json() -> None:
    from pathlib import Path

    config = parse(Path("config/canary.json").read_bytes())
    assert parse(json.dumps(dump(config)).encode()) == config


@pytest.mark.parametrize("odd", [True, 1.5, "1"])
def test_what_was_read_before_does_not_hide_what_is_wrong_now(odd: Any) -> None:
    for _ in range(2):
        assert load(with_change("limits.connections", 1)).limits.connections == 1
        with pytest.raises(InvalidConfig):
            load(with_change("limits.connections", odd))
