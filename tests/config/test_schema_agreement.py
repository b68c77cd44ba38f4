"""The config server, by our JSON Schema, refuses what the proxy refuses, and nothing else.

Out of its reach are: one server in both versions with two kinds of `tls`, and whether files exist.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.config.decimal_pattern import at_least, at_most
from app.config.json_schema import json_schema
from app.config.schema import Document, load
from app.errors import InvalidConfig
from kv.schema import fitness
from kv.schema.compiled import Compiled
from kv.schema.keywords import pattern
from tests.config.documents import documents, with_change

RAW = json.dumps(json_schema()).encode()
SCHEMA = Compiled(RAW)
NAMES = st.sampled_from(list(Document().fields))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | st.just("off"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)
DURATIONS = {
    "update_rate": (0.05, 3600),
    "sticky.ttl": (1, 400 * 86400),
    "timeouts.client_head": (0.1, 600),
    "retry.backoff": (0.001, 10),
    "limits.queue_time": (0.01, 60),
}
UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
HOSTS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.-]{0,12}", fullmatch=True),
    st.from_regex(r"(25[0-9]|[0-9]{1,3})(\.(25[0-9]|0?[0-9]{1,2})){3}\.?", fullmatch=True),
    st.from_regex(r"\[([0-9a-fA-F]{0,5}:){0,8}[0-9a-fA-F]{0,4}\]", fullmatch=True),
    st.ip_addresses(v=6).map("[{}]".format),
    st.from_regex(r"\[(([0-9A-F]{1,4}:){0,4}:)?([0-9a-f]{1,4}:){0,6}[0-9.]{0,9}\]", fullmatch=True),
    st.integers(60, 66).map(lambda length: "a" * length),
    st.integers(60, 66).map(lambda length: f"{'a' * 62}.{'b' * 62}.{'c' * 62}.{'d' * length}"),
)
PORTS = st.from_regex(r"(:(6[0-9]{4}|[0-9]{0,6}))?", fullmatch=True)
SCHEMES = st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "http:/", ""])
URLS = st.builds("{}{}{}{}".format, SCHEMES, HOSTS, PORTS, st.sampled_from(["", "", "", "/", "?", "@", " "]))
SOCKETS = st.one_of(
    st.from_regex(r"unix:(/[a.~!]{0,4}){0,4}", fullmatch=True),
    st.integers(100, 110).map(lambda length: "unix:/" + "a" * length),
)
LISTS = st.lists(URLS | st.just(" http://a/ "), min_size=1, max_size=3).map(",".join)
NETWORKS = st.one_of(
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,3})?", fullmatch=True),
    st.builds("{}/{}".format, st.ip_addresses(), st.integers(0, 130)),
    st.builds("{}/{}".format, st.ip_addresses(network="10.0.0.0/30"), st.integers(29, 33)),
    st.sampled_from(["::ffff:10.0.0.1", "::ffff:0:0/96", "10.0.0.0/8", "10.0.0.0/08", "10/8", "a/8", "::%1"]),
)


def agree(data: Any) -> bool:
    """Whether the config is taken, by both alike."""
    try:
        load(data)
    except InvalidConfig as refusal:
        told = str(refusal)
    else:
        told = ""
    faults = SCHEMA.judge(json.dumps(data).encode(), 100_000)
    assert bool(faults) == bool(told), (data, told, faults)
    return not told


def test_the_config_server_takes_the_schema() -> None:
    fitness.check(RAW)


@given(documents, st.dictionaries(NAMES, JSON, max_size=2))
@settings(deadline=None, max_examples=60)
def test_any_value_anywhere_is_judged_alike(data: dict[str, Any], wrong: dict[str, Any]) -> None:
    assert agree(data)
    agree(data | wrong)


@given(st.sampled_from(list(DURATIONS)), st.booleans(), st.sampled_from(list(UNITS)), st.data())
@settings(deadline=None, max_examples=150)
def test_durations_as_texts_have_the_same_bounds(
    path: str, upper: bool, unit: str, data: st.DataObject
) -> None:
    bound = Fraction(str(DURATIONS[path][upper])) / UNITS[unit]
    places = data.draw(st.integers(0, 13), "places")
    number = round(bound * 10**places) + data.draw(st.integers(-2, 2), "off by")
    digits = f"{abs(number):0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
    taken = agree(with_change(path, data.draw(st.sampled_from(["", "", "00"])) + text + unit))
    low, high = (Fraction(str(each)) for each in DURATIONS[path])
    assert taken <= (low <= Fraction(text) * UNITS[unit] <= high)


@pytest.mark.parametrize("bound", ["0", "1/20", "5/9", "1/1200", "9", "99/100", "100", "1/360", "34560000"])
@given(number=st.integers(0, 10**9), places=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_a_pattern_is_as_exact_as_a_fraction(bound: str, number: int, places: int) -> None:
    digits = f"{number:0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".")
    value = Fraction(text)
    assert bool(pattern(f"^{at_least(Fraction(bound))}$").search(text)) == (value >= Fraction(bound))
    assert bool(pattern(f"^{at_most(Fraction(bound))}$").search(text)) == (value <= Fraction(bound))


def test_a_bound_that_no_pattern_can_hold_is_told() -> None:
    with pytest.raises(ValueError, match="1/7 has no decimal expansion"):
        at_least(Fraction(1, 7))


@given(URLS | SOCKETS)
@example("http://1.2.3.4.")
@example("http://256.1.1.1")
@example("http://a.7")
@example("http://[::]:00001")
@example("unix:/..")
@settings(deadline=None, max_examples=300)
def test_addresses_are_judged_alike(url: str) -> None:
    agree(with_change("stable.servers", [{"url": url}]))


@given(LISTS)
@settings(deadline=None, max_examples=100)
def test_lists_of_addresses_are_judged_alike(urls: str) -> None:
    agree(with_change("config_server", urls))


@given(NETWORKS)
@settings(deadline=None, max_examples=200)
def test_networks_are_judged_alike(network: str) -> None:
    agree(with_change("trusted_proxies", [network]))


@pytest.mark.parametrize(
    "twice",
    [
        ("http://a", "http://A:80"),
        ("https://a:0443", "https://a"),
        ("http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1"),
        ("unix:/a", "unix:/a"),
    ],
)
def test_a_server_named_twice_is_refused_however_it_is_spelled(twice: tuple[str, str]) -> None:
    assert not agree(
        with_change("stable.servers", [{"url": url, "weight": 1 + i} for i, url in enumerate(twice)])
    )
    assert not agree(with_change("canary", {"servers": [{"url": url} for url in twice]}))


@pytest.mark.parametrize("other", ["http://a.", "https://a", "http://a:81", "unix:/A"])
def test_two_servers_are_not_taken_for_one(other: str) -> None:
    assert agree(with_change("stable.servers", [{"url": url} for url in ("http://a", "unix:/a", other)]))


@pytest.mark.parametrize(("letter", "most"), [("x", 64), ("é", 32), ("𝒳", 16)])
def test_lengths_are_those_of_utf_8(letter: str, most: int) -> None:
    assert agree(with_change("salt", letter * most))
    assert not agree(with_change("salt", letter * (most + 1)))
