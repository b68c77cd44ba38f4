"""What watchers may rely on, held against all they were told while writers and restarts do their worst."""

from __future__ import annotations

import json
import random
from collections import defaultdict

import gevent
import pytest

from kv.errors import KvError
from kv.model import NO_ETAG, Delete, Meta, Put
from kv.server import Server
from kv.store import Store
from kv.stream import Pace
from tests.support.etcd import NEEDS_ETCD
from tests.support.events import EventSource
from tests.support.kv_helpers import serving, serving_store
from tests.support.kv_process import KvProcess
from tests.support.processes import fetch, wait_until
from tests.support.watchers import KeyWatcher, Poller, PrefixWatcher, assert_in_order, check

KEYS = ("a/x", "a/y", "a/z/z", "b")
PASSING = "a/ttl"
HURRIED = Pace(heartbeat=0.05, shortest=0.05, longest=0.4)
STEPS, WRITERS = 60, 4


class World:
    """A server on a store that may be started again, and all that was ever committed to it."""

    def __init__(self, make_engine):
        self._make_engine = make_engine
        self._chance = random.Random(1)
        self._count = 0
        self._commits = {}
        self.start()

    def start(self):
        self._on_store = serving_store(self._make_engine())
        self.store: Store = self._on_store.__enter__()
        self._on_server = serving(self.store, pace=HURRIED)
        self.server: Server = self._on_server.__enter__()

    def stop(self):
        self._on_server.__exit__(None, None, None)
        self._on_store.__exit__(None, None, None)

    def address(self):
        return ("127.0.0.1", self.server.server_port)

    def write(self):
        """A few writers at once, each one of a put, a deletion, or a put and a deletion in one."""
        tasks = [gevent.spawn(self._write) for _ in range(WRITERS)]
        gevent.joinall(tasks, timeout=20, raise_error=True)
        gevent.sleep(self._chance.choice([0, 0, 0.002]))

    def _write(self):
        self._count += 1
        first, second = self._chance.sample(KEYS, 2)
        put = Put(first, b'{"n": %d, "filler": "%b"}' % (self._count, b"x" * self._chance.choice([0, 3_000])))
        passing = Put(PASSING, b"%d" % self._count, 0.05)
        operations = self._chance.choice([[put], [put], [Delete(first)], [put, Delete(second)], [passing]])
        try:
            commit = self.store.commit((), operations, Meta())
        except KvError:
            return  # a deletion of nothing: no commit
        if commit.changes:
            self._commits[commit.revision] = commit.changes

    def states(self):
        states = defaultdict(lambda: [NO_ETAG])
        for _, items in sorted(self._commits.items()):
            for item in items:
                states[item.key].append(item.version.etag)
        # A key that goes by itself may have been away before each of its versions.
        states[PASSING] = [each for etag in states[PASSING][1:] for each in (NO_ETAG, etag)] + [NO_ETAG]
        return states

    def values(self):
        return {
            item.version.etag: json.loads(item.value)
            for items in self._commits.values()
            for item in items
            if item.live
        }

    def present(self, prefix=""):
        return {item.key: item.version.etag for item in self.store.scan(prefix, "", 99)[1]}


def watchers(world):
    """Of every kind, and a slow one of each."""
    made = []
    for pause in (0.0, 0.02):
        made += [KeyWatcher(world.address, key, pause=pause) for key in (*KEYS, PASSING)]
        made += [Poller(world.address, key, pause=pause) for key in KEYS]
        made += [PrefixWatcher(world.address, prefix, pause=pause) for prefix in ("", "a/", "a/z/")]
    return made


def scope(watcher, world):
    """What of the present it should know."""
    path = watcher._path
    if path.endswith("/") or not path:
        return world.present(path)
    return {key: etag for key, etag in world.present().items() if key == path}


def run(world, crowd, restarts=0):
    """Write, and check everything that everybody was told."""
    for step in range(STEPS):
        if restarts and step % (STEPS // (restarts + 1)) == STEPS // (restarts + 1) - 1:
            world.stop()
            world.start()
        world.write()
    wait_until(lambda: PASSING not in world.present())
    for watcher in crowd:
        wait_until(
            lambda watcher=watcher: watcher.present == scope(watcher, world),
            what=f"{watcher._path} converges",
        )
        watcher.stop()
    for watcher in crowd:
        check(watcher, world.states(), world.values())


def test_they_end_where_the_store_is_and_never_go_back(make_engine):
    world = World(make_engine)
    try:
        crowd = watchers(world)
        run(world, crowd)
        assert any(watcher.told for watcher in crowd)
    finally:
        world.stop()


@pytest.mark.parametrize("engine_name", ["sqlite", pytest.param("etcd", marks=NEEDS_ETCD)])
def test_they_go_on_over_restarts(make_engine):
    world = World(make_engine)
    try:
        crowd = watchers(world)
        run(world, crowd, restarts=3)
        assert all(watcher.resets > 1 for watcher in crowd if isinstance(watcher, PrefixWatcher))
    finally:
        world.stop()


@pytest.mark.parametrize(
    ("told", "sound"),
    [
        ([], True),
        (["1"], True),
        (["0", "1", "3"], True),
        (["1", "0", "3"], True),
        (["1", "1"], True),
        (["3", "1"], False),
        (["0", "1", "0", "3", "0"], False),
        (["2"], False),
    ],
)
def test_the_check_itself(told, sound):
    states = ["0", "1", "0", "3"]
    if sound:
        assert_in_order(told, states)
    else:
        with pytest.raises(AssertionError, match=r"was over|never was"):
            assert_in_order(told, states)


@pytest.mark.end_to_end
def test_a_thousand_of_them(tmp_path):
    with KvProcess(tmp_path) as kv:
        fetch("PUT", f"{kv.url}/v1/kv/a/b", data=b"0")
        half = 500
        crowd = [EventSource(kv.address, "/v1/kv/a/b", timeout=20) for _ in range(half)]
        crowd += [EventSource(kv.address, "/v1/kv/a/", timeout=20) for _ in range(half)]
        for stream in crowd[:half]:
            assert stream.next().data == "0"
        for stream in crowd[half:]:
            assert [event.kind for event in stream.take(3)] == ["reset", "put", "sync"]
        for number in range(1, 4):
            fetch("PUT", f"{kv.url}/v1/kv/a/b", data=b"%d" % number)
            assert {stream.next().data for stream in crowd[:half]} == {str(number)}
            assert {stream.next().json["value"] for stream in crowd[half:]} == {number}
        for stream in crowd:
            stream.close()
