"""A disk that loses its power, its room or its fsync under the SQLite engine: what was acknowledged is there after."""

from __future__ import annotations

import logging
import random

import gevent
import pytest

from kv.engine.sqlite import SqliteEngine
from kv.errors import CannotStart, Full, Unavailable, Unknown
from kv.model import Delete, Meta, Put
from tests.support.kv_helpers import opened, put
from tests.support.unsafe_disk import Disk

LIVES, WRITERS, STEPS = 6, 6, 120


class History:
    """What writers asked for and what they were told, over all lives of a store."""

    def __init__(self, chance):
        self.chance, self.number = chance, 0
        self.asked, self.acknowledged = {}, {}

    def write_on(self, engine, key):
        """Until the disk fails. Every value is written once; some are long, so that a write is more than a page."""
        while True:
            self.number += 1
            value = b"%d%b" % (self.number, b" " * self.chance.choice([0, 0, 9_000]))
            self.asked[value] = key
            try:
                commit = engine.commit((), [Put(key, value)], Meta())
            except (Unknown, Unavailable):
                return
            self.acknowledged[commit.revision] = (key, value)

    def check(self, engine):
        """Acknowledged ⊆ recovered ⊆ asked for, and no revision left out."""
        recovered = {item.version.revision: (item.key, item.value) for item in engine.backup()}
        assert self.acknowledged.items() <= recovered.items()
        assert all(self.asked[value] == key for key, value in recovered.values())
        assert sorted(recovered) == list(range(1, len(recovered) + 1))
        self.acknowledged = recovered  # who has read it may rely on it


def live(engine, disk, history, steps):
    """A life of the store, from its beginning until its disk has made so many steps."""
    disk.steps = steps
    try:
        engine.open()
    except CannotStart:
        return
    writers = [gevent.spawn(history.write_on, engine, f"k{number}") for number in range(WRITERS)]
    gevent.joinall(writers, timeout=20, raise_error=True)
    engine.close()


@pytest.mark.parametrize("seed", range(25))
def test_what_was_acknowledged_outlives_the_power(tmp_path, caplog, seed):
    caplog.set_level(logging.CRITICAL + 1)
    chance = random.Random(seed)
    disk, history, path = Disk(), History(chance), tmp_path / "kv.db"
    for _ in range(LIVES):
        live(SqliteEngine(path, connect=disk.connect), disk, history, chance.randrange(STEPS))
        disk = disk.after_power_loss(chance)
        with opened(SqliteEngine(path, connect=disk.connect)) as engine:
            history.check(engine)
        if chance.random() < 0.5:
            disk = disk.after_power_loss(chance)


def test_a_disk_that_never_syncs_is_found_out(tmp_path, caplog):
    """The test itself: without fsync something is lost, or what is there is in disorder."""
    caplog.set_level(logging.CRITICAL + 1)

    class Careless(Disk):
        def connect(self, path):
            connection = super().connect(path)
            execute = connection.execute
            connection.execute = lambda statement, values=(): execute(
                statement.replace("synchronous=FULL", "synchronous=OFF"), values
            )
            return connection

    def loses(seed):
        chance, disk = random.Random(seed), Careless()
        history, path = History(chance), tmp_path / f"{seed}.db"
        live(SqliteEngine(path, connect=disk.connect), disk, history, 100)
        try:
            with opened(SqliteEngine(path, connect=disk.after_power_loss(chance).connect)) as engine:
                history.check(engine)
        except (AssertionError, CannotStart):
            return True
        return False

    assert any(loses(seed) for seed in range(10))


def test_a_full_disk(tmp_path):
    disk, path = Disk(), tmp_path / "kv.db"
    with opened(SqliteEngine(path, connect=disk.connect)) as engine:
        put(engine, "a", b"1")
        for room in (0, 100, 4_000, 9_000, 20_000):
            disk.room = room
            with pytest.raises(Full):
                put(engine, "a", b"x" * 50_000)
            assert (engine.get("a").value, len(engine.history("a", 9))) == (b"1", 1)
        disk.room = 2**62
        assert put(engine, "a", b"2").revision == 2
        disk.room = 0
        with pytest.raises(Full):
            put(engine, "b", b"x" * 50_000)
    disk = disk.after_power_loss(random.Random(1))
    with opened(SqliteEngine(path, connect=disk.connect)) as engine:
        assert [item.value for item in engine.backup()] == [b"1", b"2"]


def test_a_full_disk_and_then_no_power(tmp_path):
    """What was refused for want of room is not there after either."""
    for seed in range(20):
        chance, disk, path = random.Random(seed), Disk(), tmp_path / f"{seed}.db"
        with opened(SqliteEngine(path, connect=disk.connect)) as engine:
            put(engine, "a", b"1")
            disk.room = chance.randrange(40_000)
            with pytest.raises(Full):
                put(engine, "a", b"x" * 50_000)
            lost = disk.after_power_loss(chance)
        with opened(
            SqliteEngine(tmp_path / f"{seed}b.db", connect=lambda _, d=lost, p=path: d.connect(str(p)))
        ) as engine:
            assert [item.value for item in engine.backup()] == [b"1"]


def test_an_fsync_that_fails_leaves_the_outcome_open(tmp_path, caplog):
    """After it nobody knows what is on the disk: no more writes, and all is read again."""
    disk, path = Disk(), tmp_path / "kv.db"
    with caplog.at_level(logging.CRITICAL), opened(SqliteEngine(path, connect=disk.connect)) as engine:
        put(engine, "a", b"1")
        disk.syncs_fail = True
        with pytest.raises(Unknown):
            put(engine, "a", b"2")
        disk.syncs_fail = False
        assert engine.get("a").value == b"1"
        with pytest.raises(Unavailable):
            engine.commit((), [Delete("a")], Meta())
    assert "failed" in caplog.text
    disk = disk.after_power_loss(random.Random(1))
    with opened(SqliteEngine(path, connect=disk.connect)) as engine:
        assert engine.get("a").value in (b"1", b"2")
        assert put(engine, "a", b"3").results[0].changed
