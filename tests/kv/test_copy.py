"""`copy FROM TO`: moving from SQLite to etcd, and back."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from kv.cli import main
from kv.engine import engine_from
from kv.engine.base import Limits
from kv.engine.sqlite import SqliteEngine
from kv.model import SCHEMAS, Meta, Put
from tests.support.etcd import NEEDS_ETCD
from tests.support.kv_helpers import delete, opened, put


def kv(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def sqlite(tmp_path):
    """A store with something of everything."""
    path = tmp_path / "from.db"
    with opened(SqliteEngine(path)) as engine:
        engine.commit((), [Put("a", b'{"x":  1}\n'), Put("b", b"1")], Meta("ann", "für alle", 1.5))
        put(engine, "b", b"2")
        delete(engine, "b")
        put(engine, SCHEMAS + "a/", b'{"type": "object"}')
        for number in range(120):
            put(engine, "c/d", b"%d" % number)
        put(engine, "lock", b"1", ttl=60)
    return f"sqlite:///{path}"


@pytest.fixture
def etcd_store(shared_etcd, tmp_path):
    return f"{shared_etcd.url.replace('http', 'etcd')}/{tmp_path.name}"


def held(store):
    """All that is kept there."""
    with opened(engine_from(store)) as engine:
        return list(engine.backup())


def told(items):
    """All of it but the revisions, which an etcd gives itself; these by their order."""
    order = sorted({item.version.revision for item in items})
    return [
        (
            item.key,
            item.value,
            item.live,
            item.version.number,
            item.version.meta,
            order.index(item.version.revision),
        )
        for item in items
    ]


@NEEDS_ETCD
def test_there_and_back(sqlite, etcd_store, tmp_path):
    there = kv("copy", sqlite, etcd_store)
    assert (there.exit_code, "copied 105 versions of 4 keys" in there.output) == (0, True)
    assert told(held(etcd_store)) == told(held(sqlite))
    back = f"sqlite:///{tmp_path / 'back.db'}"
    assert kv("copy", etcd_store, back, "--json").exit_code == 0
    assert held(back) == held(etcd_store)


@NEEDS_ETCD
def test_what_was_copied_goes_on(sqlite, etcd_store):
    assert kv("copy", sqlite, etcd_store).exit_code == 0
    with opened(engine_from(etcd_store)) as engine:
        assert put(engine, "b", b"3").results[0].item.version.number == 4
        assert put(engine, "c/d", b"new").results[0].item.version.number == 121
        assert len(engine.history("c/d", 200)) == Limits().versions
        assert engine.get("lock") is None


@NEEDS_ETCD
def test_what_is_there_is_not_lost_unasked(sqlite, etcd_store):
    with opened(engine_from(etcd_store)) as engine:
        put(engine, "mine", b"1")
    refused = kv("copy", sqlite, etcd_store)
    assert (refused.exit_code, "--force" in refused.output, len(held(etcd_store))) == (1, True, 1)
    assert kv("copy", sqlite, etcd_store, "--force").exit_code == 0
    assert told(held(etcd_store)) == told(held(sqlite))


def test_between_files_everything_stays_what_it_is(sqlite, tmp_path):
    target = f"sqlite:///{tmp_path / 'to.db'}"
    result = kv("copy", sqlite, target, "--json")
    assert json.loads(result.output).items() >= {"keys": 4, "versions": 105}.items()
    assert held(target) == held(sqlite)


def test_a_store_in_use_is_left_alone(sqlite, tmp_path):
    with opened(engine_from(sqlite)):
        refused = kv("copy", sqlite, f"sqlite:///{tmp_path / 'to.db'}")
    assert (refused.exit_code, "held by process" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("source", "target"),
    [("memory://", "sqlite:///x.db"), ("sqlite:///x.db", "memory://"), ("x", "y"), ("sqlite:///x.db",) * 2],
)
def test_what_cannot_be_copied(source, target):
    assert kv("copy", source, target).exit_code == 2


def test_an_etcd_that_is_away(sqlite):
    refused = kv("copy", "etcd://me:secret@127.0.0.1:1/x", sqlite, "--force")
    assert (refused.exit_code, "secret" in refused.output) == (1, False)
    assert len(held(sqlite)) == 105
