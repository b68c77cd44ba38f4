"""KV_STORE for an etcd."""

from __future__ import annotations

import pytest

from kv.engine import engine_from
from kv.engine.etcd.target import DEFAULT_PREFIX, Target, target_from
from kv.errors import BadSetting
from kv.settings import read_settings


@pytest.mark.parametrize(
    ("scheme", "rest", "target"),
    [
        ("http", "a:2379", Target(("http://a:2379",))),
        ("http", "a:2379/", Target(("http://a:2379",))),
        ("http", "a:2379/x", Target(("http://a:2379",), "/x")),
        (
            "http",
            "a:1,10.0.0.1:2,[::1]:3/x/y/",
            Target(("http://a:1", "http://10.0.0.1:2", "http://[::1]:3"), "/x/y"),
        ),
        ("http", "me:p%40ss:w@a:1/x", Target(("http://a:1",), "/x", ("me", "p@ss:w"))),
        ("https", "a:1/x?ca=/c.pem", Target(("https://a:1",), "/x", ca="/c.pem")),
        (
            "https",
            "a:1?ca=/c.pem&cert=/d.pem&key=/e.pem",
            Target(("https://a:1",), DEFAULT_PREFIX, ca="/c.pem", cert="/d.pem", key="/e.pem"),
        ),
    ],
)
def test_what_it_says(scheme, rest, target):
    assert target_from(scheme, rest) == target


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/x",
        "a",
        "a:x",
        "a:1,",
        ",a:1",
        "a:1,b/x",
        "a b:1",
        "http://a:1",
        "a:1//x",
        "a:1/x?y=1",
        "a:1/x?cert=/d.pem",
        "a:1/x?ca=/c.pem",
        "a:1/x#y",
        "secret@a:1",
        ":secret@a:1",
    ],
)
def test_what_it_cannot_be(rest):
    with pytest.raises(BadSetting) as caught:
        target_from("http", rest)
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("store", ["etcd://", "etcds://a", "etc://me:secret@a:1", "etcd:/a:1", "secret"])
def test_a_bad_setting_tells_no_secret(store):
    with pytest.raises(BadSetting) as caught:
        engine_from(store)
    assert "me:secret" not in caught.value.detail


def test_the_password_is_not_shown():
    settings = read_settings({"KV_STORE": "etcd://me:secret@a:1,b:2/x"})
    assert settings.shown_store == "etcd://a:1,b:2/x"
    assert "secret" not in repr(target_from("http", "me:secret@a:1"))
