from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.json_schema import json_schema
from app.config.part import Reader
from app.config.schema import Document, dump, load, parse
from app.errors import InvalidConfig
from tests.config.documents import SMALL, documents, with_change

CHECK = jsonschema.Draft202012Validator(json_schema())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(list(Document().fields))


@given(documents)
@settings(deadline=None, max_examples=50)
def test_a_dump_loads_as_the_same_config(data: dict[str, Any]) -> None:
    config = load(data)
    assert load(dump(config)) == config
    assert parse(json.dumps(dump(config)).encode()) == config


@given(documents, documents, st.dictionaries(NAMES, JSON, max_size=2), st.floats(0, 1))
@settings(deadline=None)
def test_what_is_read_after_another_is_read_as_by_itself(
    data: dict[str, Any], other: dict[str, Any], wrong: dict[str, Any], ratio: float
) -> None:
    successive = Reader(Document())
    ratios = [data | {"ratio": value} for value in (ratio, 1, True, 2, 1.0)]
    for each in (data, *ratios, data | wrong, other, other | {"ratio": ratio}, data | other, data):
        assert told(successive, each) == told(Reader(Document()), each)


def told(reader: Reader, data: dict[str, Any]) -> str:
    """The config, spelled so that 1 and True differ, or what is wrong."""
    try:
        return repr(reader.read(data, InvalidConfig))
    except InvalidConfig as refusal:
        return repr(refusal.faults)


@given(documents)
@settings(deadline=None, max_examples=50)
def test_the_json_schema_takes_what_load_takes(data: dict[str, Any]) -> None:
    CHECK.validate(data)
    CHECK.validate(json.loads(json.dumps(dump(load(data)))))


@given(NAMES, JSON)
@settings(deadline=None)
def test_any_value_anywhere_is_taken_or_refused_and_the_json_schema_is_no_stricter(
    name: str, value: Any
) -> None:
    try:
        load(SMALL | {name: value})
    except InvalidConfig as refusal:
        text = str(refusal)
    else:
        CHECK.validate(SMALL | {name: value})
        return
    assert text.isprintable()


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@settings(deadline=None, max_examples=50)
def test_any_bytes_are_a_config_or_an_invalid_one(raw: bytes) -> None:
    with pytest.raises(InvalidConfig):
        parse(raw)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("style", "ratoi"),
        ("ratio", 7),
        ("ratio", True),
        ("ratio", "0.5"),
        ("sticky_sessions", 1),
        ("config_server", "ftp://a"),
        ("config_server", "http://a,"),
        ("update_rate", "2d"),
        ("update_rate", 0),
        ("stable", {}),
        ("stable.servers", []),
        ("stable.servers", [{"url": "http://a", "weight": 0}]),
        ("stable.servers", [{"url": "http://a", "drain": True}, {"url": "http://b", "weight": 0}]),
        ("stable.servers", [{"url": "http://a", "drain": 1}]),
        ("stable.servers", [{"url": "ftp://a"}]),
        ("stable.servers", [{"url": "https://a/b"}]),
        ("stable.servers", [{"url": "unix:run/web.sock"}]),
        ("stable.servers", [{"url": "http://a/b"}]),
        ("stable.servers", [{"weight": 1}]),
        ("stable.servers", [{"url": "http://a", "weight": 1.5}]),
        ("stable.servers", [{"url": "http://a", "tls": {}}]),
        ("stable.servers", [{"url": "unix:/a", "tls": {}}]),
        ("stable.servers", [{"url": "https://a", "tls": {"ca": "a", "verify": False}}]),
        ("stable.servers", [{"url": "https://a", "tls": {"name": "a."}}]),
        ("stable.servers", [{"url": "https://a", "tls": {"name": ""}}]),
        ("stable.servers", [{"url": "https://a", "tls": {"verify": None}}]),
        ("trusted_proxies", ["localhost"]),
        ("trusted_proxies", ["10.0.0.0/8"] * 257),
        ("trusted_proxies", [10]),
        ("trusted_proxies", "10.0.0.0/8"),
        ("underscored_headers", "keep"),
        ("timeouts.tunnel_idle", 0),
        ("salt", "x" * 65),
        ("sticky.cookie", "a b"),
        ("sticky.key", {}),
        ("sticky.key", {"header": "a", "cookie": "b"}),
        ("overrides", [{"version": "canary"}]),
        ("overrides", [{"header": "a", "query": "b", "version": "canary"}]),
        ("overrides", [{"header": "a"}]),
        ("overrides", [{"path_prefix": "/a", "value": "x/y", "version": "canary"}]),
        ("overrides", [{"cookie": "a", "value": "x y", "version": "canary"}]),
        ("timeouts.connect", "off"),
        ("limits.body_bytes", "none"),
        ("limits.per_server", 0),
        ("health.path", "healthz"),
        ("health.path", "/a#b"),
        ("health.host", "a b"),
        ("health.statuses", []),
        ("health.statuses", ["ok"]),
        ("health.slow_start", 0),
        ("outlier.rate", 0),
        ("outlier.max_ejected", 1.5),
        ("retry.attempts", 0),
        ("retry.on", ["refused"]),
        ("retry.on", [399]),
        ("retry.methods", ["GET "]),
        ("retry.methods", ["GET"] * 33),
        ("shield", "post"),
        ("shield_on", [404]),
        ("rescue", True),
        ("rescue.suffixes", []),
        ("rescue.suffixes", [".js?"]),
        ("failover", "stable"),
        ("ratoi", 1),
    ],
)
def test_the_json_schema_refuses_what_load_refuses(path: str, value: Any) -> None:
    with pytest.raises(InvalidConfig):
        load(with_change(path, value))
    assert not CHECK.is_valid(with_change(path, value))


def test_the_json_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    CHECK.validate(json.loads(Path("config/canary.json").read_bytes()))


def test_every_field_has_its_sentence() -> None:
    def sentences(schema: dict[str, Any]) -> list[str]:
        inner = [schema, *schema.get("anyOf", []), schema.get("items", {})]
        below = [each for part in inner for each in part.get("properties", {}).values()]
        return [each["description"] for each in below] + [text for each in below for text in sentences(each)]

    assert all(text.endswith(".") for text in sentences(json_schema()))
    assert len(sentences(json_schema())) > 40
