"""Random operations on a store, restarts included, beside the same on a model made of dicts."""

from __future__ import annotations

import json
import shutil
import tempfile
from functools import partial
from pathlib import Path

import gevent
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kv.engine.base import Limits
from kv.errors import Full, KvError
from kv.json_patch import parse as parse_patch
from kv.model import Condition, Delete, Merge, Meta, Patch, Put
from kv.store import Store
from kv.transaction import Transaction
from tests.support.etcd import NEEDS_ETCD
from tests.support.kv_helpers import ENGINES
from tests.support.kv_model import Entry, Model

LIMITS = Limits(value_bytes=60, keys=4, versions=3)
NAMES = ("a", "a/b", "a/c", "a.b", "b")
PASSING = "t"  # only ever there with a ttl

KEYS = st.sampled_from(NAMES)
VALUES = st.sampled_from(
    [None, 1, 1.0, True, "é", [], {}, {"x": 1}, {"x": {"y": [1, None]}}, {"y": "z" * 25}]
)
PATCHES = VALUES | st.sampled_from([{"x": None}, {"x": {"y": None, "z": 2}}, {"y": "z" * 30}])
TEXTS = st.builds(
    lambda value, indent: json.dumps(value, indent=indent).encode(), VALUES, st.sampled_from([None, 1])
)
GUESSES = st.sampled_from(["none", "none", "there", "absent", "current", "not current", "old", "made up"])
OPERATIONS = st.one_of(
    st.builds(Put, KEYS, TEXTS),
    st.builds(Merge, KEYS, PATCHES),
    st.builds(Delete, KEYS),
    st.builds(
        lambda key, before, after: Patch(
            key,
            parse_patch(
                [{"op": "test", "path": "", "value": before}, {"op": "replace", "path": "", "value": after}]
            ),
        ),
        KEYS,
        VALUES,
        VALUES,
    ),
    st.builds(Put, st.just(PASSING), TEXTS, st.sampled_from([60.0, 70.0])),
    st.builds(Merge, st.just(PASSING), PATCHES),
    st.builds(Delete, st.just(PASSING)),
)


class StoreMachine(RuleBasedStateMachine):
    """`make` gives an engine over a folder.

    `lasts`: what of it is there again when it is opened again: "nothing", what it "kept", or "all", keys with a ttl
    included. `alone`: it puts writes that come at once in the order in which they come.
    """

    def __init__(self, make, lasts, alone):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.make, self.lasts, self.alone = make, lasts, alone
        self.model = Model(LIMITS)
        self.start()
        self.model.revision = self.store.revision

    def start(self):
        self.store = Store(self.make(self.folder))
        self.store.start()

    def teardown(self):
        self.store.stop()
        shutil.rmtree(self.folder)

    def condition(self, key, guess):
        entries = self.model.history(key)
        etags = {
            "current": self.model.etag(key),
            "not current": self.model.etag(key),
            "old": entries[0].etag if entries else "7-0123456789ab",
            "made up": "7-0123456789ab",
        }
        if guess == "none":
            return ()
        if guess in ("there", "absent"):
            return (Condition(key, None, wanted=guess == "there"),)
        return (Condition(key, frozenset({etags[guess]}), wanted=guess != "not current"),)

    def commit(self, conditions, operations, call):
        """The store's outcome of `call` has to be the model's of the same."""
        before = self.model.revision
        try:
            results = call()
        except KvError as error:
            with pytest.raises(type(error)):
                self.model.commit(conditions, operations, before + 1)
            return
        revision = max([before, *(result.item.version.revision for result in results)])
        outcomes = self.model.commit(conditions, operations, revision)
        assert [self.seen(result) for result in results] == [
            (outcome.entry, outcome.changed, outcome.created) for outcome in outcomes
        ]
        assert self.store.revision >= revision

    @staticmethod
    def seen(result):
        return entry(result.item), result.changed, result.created

    @rule(operation=OPERATIONS, guess=GUESSES)
    def write(self, operation, guess):
        conditions = self.condition(operation.key, guess)
        self.commit(
            conditions, [operation], lambda: self.store.commit(conditions, [operation], Meta()).results
        )

    @rule(key=KEYS, text=TEXTS, guess=GUESSES)
    def put(self, key, text, guess):
        conditions = self.condition(key, guess)
        self.commit(conditions, [Put(key, text)], lambda: [self.store.put(key, text, conditions, Meta())])

    @rule(key=KEYS, guess=GUESSES, back=st.integers(0, 3))
    def roll_back(self, key, guess, back):
        entries = self.model.history(key)
        revision = entries[-1 - back].revision if back < len(entries) else 1
        try:
            value = self.model.version(key, revision).value
        except KvError as error:
            with pytest.raises(type(error)):
                self.store.restore(key, revision, (), Meta())
            return
        conditions = self.condition(key, guess)
        self.commit(
            conditions, [Put(key, value)], lambda: [self.store.restore(key, revision, conditions, Meta())]
        )

    @rule(
        operations=st.lists(OPERATIONS, max_size=3, unique_by=lambda operation: operation.key),
        guess=GUESSES,
        key=KEYS,
    )
    def transact(self, operations, guess, key):
        """With one deletion at most: of two keys that were deleted at once either may be forgotten first."""
        if sum(isinstance(operation, Delete) for operation in operations) > 1:
            return
        wanted = Transaction(self.condition(key, guess), tuple(operations))
        self.commit(wanted.conditions, operations, lambda: self.store.transact(wanted, Meta()).results)

    @precondition(lambda self: self.alone)
    @rule(operations=st.lists(OPERATIONS, min_size=2, max_size=6))
    def write_at_once(self, operations):
        """Writers who do not wait for each other get in one after the other, as they came.

        Only the room that one of them makes may not be the next one's yet: it was there at the same time. So no key
        with a ttl ends here, and whoever finds the store full may.
        """
        operations = [each for each in operations if each != Delete(PASSING)]
        writers = [gevent.spawn(tried, self.store.commit, (), [each], Meta()) for each in operations]
        gevent.joinall(writers, timeout=10)
        for operation, writer in zip(operations, writers, strict=True):
            if answered(writer.get()) is not Full:
                self.commit((), [operation], writer.get())

    @rule()
    def restart(self):
        revision = self.store.revision
        self.store.stop()
        if self.lasts == "nothing":
            self.move()
        else:
            self.start()
            self.model.restart(self.store.revision, passing=self.lasts == "all")
        assert self.store.revision >= revision

    def move(self):
        """To another engine, by way of a backup."""
        kept, revision = list(self.store.engine.backup()), self.store.revision
        self.start()
        self.store.engine.restore(kept, revision)
        self.store.hub.revision = revision
        self.model.restart(revision)

    @invariant()
    def all_is_as_in_the_model(self):
        model, store = self.model, self.store
        for key in (*NAMES, PASSING):
            item = store.get(key)
            assert (entry(item) if item else None) == model.live(key)
            versions = store.engine.history(key, 9)
            assert [(version.revision, version.number, version.etag) for version in reversed(versions)] == [
                (each.revision, each.number, each.etag) for each in model.history(key)
            ]
            for each in model.kept.get(key, []):
                assert answered(lambda key=key, at=each.revision: entry(store.version(key, at))) == answered(
                    lambda key=key, at=each.revision: model.version(key, at)
                )
        for prefix in ("", "a/"):
            assert [(item.key, item.value) for item in store.scan(prefix, "", 99)[1]] == model.scan(prefix)

    @invariant()
    def a_backup_has_what_the_model_keeps(self):
        kept = [(key, each) for key in sorted(self.model.kept) for each in self.model.history(key)]
        assert [(item.key, entry(item)) for item in self.store.engine.backup()] == kept


def entry(item):
    """An item as the model has it."""
    version = item.version
    return Entry(version.revision, version.number, item.value if item.live else None, version.ttl)


def answered(call):
    try:
        return call()
    except KvError as error:
        return type(error)


def tried(commit, *arguments):
    """What gives or raises what `commit` did."""
    try:
        results = commit(*arguments).results
    except KvError as error:
        return partial(refuse, error)
    return lambda: results


def refuse(error):
    raise error


@pytest.mark.parametrize(
    ("engine", "lasts", "alone", "examples"),
    [
        ("memory", "nothing", True, 40),
        ("sqlite", "kept", True, 40),
        pytest.param("etcd", "all", False, 4, marks=NEEDS_ETCD),
    ],
)
def test_a_store_is_as_its_model(request, engine, lasts, alone, examples):
    url = request.getfixturevalue("shared_etcd").url if engine == "etcd" else ""
    run_state_machine_as_test(
        lambda: StoreMachine(lambda folder: ENGINES[engine](url, folder, LIMITS), lasts, alone),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
