"""Random operations, compared with a dict of lists; the engine is closed and opened in between."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv import document
from kv.engine.base import Limits
from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.errors import Conflict, Gone, NotFound
from kv.model import Condition, Delete, Merge, Meta, Put

VERSIONS = 5
KEYS = st.sampled_from(["a", "a/b", "b"])
VALUES = st.sampled_from([{}, {"x": 1}, {"x": 2, "y": {"z": 1}}, 1])
PATCHES = st.sampled_from([{}, {"x": None}, {"x": 1}, {"y": {"z": 2}}, 2])
CONDITION = st.sampled_from(["none", "exists", "missing", "current", "stale"])
STEP = st.one_of(
    st.tuples(st.just("put"), KEYS, VALUES, CONDITION),
    st.tuples(st.just("merge"), KEYS, PATCHES, CONDITION),
    st.tuples(st.just("delete"), KEYS, st.none(), CONDITION),
    st.tuples(st.just("reopen"), KEYS, st.none(), st.just("none")),
)


class Model:
    """What the store should hold: for each key its versions as (revision, value), None for a deletion."""

    def __init__(self):
        self.revision, self.versions = 0, {}

    def current(self, key):
        return self.versions.get(key, [(0, None)])[-1][1]

    def apply(self, kind, key, argument, condition):
        """The exception expected, or None."""
        exists = self.current(key) is not None
        if not {"none": True, "exists": exists, "missing": not exists, "current": True, "stale": False}[
            condition
        ]:
            return Conflict
        if kind != "put" and not exists:
            return NotFound
        value = {"put": lambda: argument, "delete": lambda: None}.get(
            kind, lambda: document.merge(self.current(key), argument)
        )()
        if document.dump(value) != document.dump(self.current(key)) or not exists:
            self.revision += 1
            self.versions.setdefault(key, []).append((self.revision, value))
        return None


def condition(engine, key, kind):
    item = engine.get(key)
    return {
        "none": [],
        "exists": [Condition(key, None)],
        "missing": [Condition(key, None, wanted=False)],
        "current": [Condition(key, frozenset({item.version.etag if item else "0"}))],
        "stale": [Condition(key, frozenset({"99-000000000000"}))],
    }[kind]


def operation(kind, key, argument):
    makers = {"put": lambda: Put(key, document.dump(argument)), "merge": lambda: Merge(key, argument)}
    return makers.get(kind, lambda: Delete(key))()


def step(engine, kind, key, argument, wanted):
    try:
        engine.commit(condition(engine, key, wanted), [operation(kind, key, argument)], Meta())
    except (Conflict, NotFound) as error:
        return type(error)
    return None


def check(engine, model):
    live = sorted(key for key in model.versions if model.current(key) is not None)
    assert [item.key for item in engine.scan("", "", 99)[1]] == live
    assert engine.status()["revision"] == model.revision
    for key, versions in model.versions.items():
        kept = versions[-VERSIONS:]
        assert [v.revision for v in engine.history(key, 99)] == [revision for revision, _ in reversed(kept)]
        for revision, value in kept:
            item = engine.get(key, revision)
            assert item.value == (b"" if value is None else document.dump(value))
        for revision, _ in versions[:-VERSIONS]:
            with pytest.raises(Gone):
                engine.get(key, revision)


def run(make, steps, reopens):
    engine, model = make(), Model()
    engine.open()
    try:
        for kind, key, argument, wanted in steps:
            if kind != "reopen":
                assert step(engine, kind, key, argument, wanted) is model.apply(kind, key, argument, wanted)
            elif reopens:
                engine.close()
                engine = make()
                engine.open()
        check(engine, model)
    finally:
        engine.close()


@settings(deadline=None, max_examples=200)
@given(st.lists(STEP, max_size=40))
def test_memory(steps):
    run(lambda: MemoryEngine(Limits(versions=VERSIONS)), steps, reopens=False)


@settings(deadline=None, max_examples=60)
@given(st.lists(STEP, max_size=40))
def test_sqlite(steps):
    with tempfile.TemporaryDirectory() as folder:
        run(lambda: SqliteEngine(Path(folder) / "kv.db", Limits(versions=VERSIONS)), steps, reopens=True)
