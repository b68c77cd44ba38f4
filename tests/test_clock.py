"""Limits are never early, come once, and one that cannot be enforced does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import gevent
import pytest

from app.clock import AT_ONCE, NEVER, Clock
from tests.support.processes import wait_until


class Thing:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.expired_at: list[float] = []

    def expire(self) -> None:
        self.expired_at.append(monotonic())


class Broken(Thing):
    def expire(self) -> None:
        super().expire()
        raise RuntimeError("on purpose")


@pytest.fixture
def clock() -> Iterator[Clock]:
    running = Clock()
    running.start()
    yield running
    running.stop()


def test_a_limit_is_never_early_and_comes_once(clock):
    asked, thing = monotonic(), Thing(clock.now + 0.3)
    later = Thing(clock.now + 0.9)
    for each in (thing, later):
        clock.watch(each)
    wait_until(lambda: later.expired_at, what="the later limit")
    assert len(thing.expired_at) == 1
    assert thing.expired_at[0] >= asked + 0.3
    assert thing.deadline == NEVER


def test_what_is_forgotten_has_no_limit(clock):
    forgotten, watched = Thing(clock.now), Thing(clock.now)
    clock.watch(forgotten)
    clock.watch(watched)
    clock.forget(forgotten)
    wait_until(lambda: watched.expired_at, what="the limit")
    assert forgotten.expired_at == []


def test_one_that_fails_is_logged_and_does_not_stop_the_others(clock, caplog):
    things = [Broken(clock.now), Thing(clock.now), Broken(clock.now)]
    for thing in things:
        clock.watch(thing)
    wait_until(lambda: all(thing.expired_at for thing in things), what="all limits")
    assert len([record for record in caplog.records if record.exc_info]) == 2


def test_others_have_their_turn_while_many_limits_pass(clock):
    """Here one takes it to forget a thing, and to give another more time."""
    spared: list[Thing] = []

    def take_turn() -> None:
        spared.extend([thing for thing in things if not thing.expired_at][:2])
        clock.forget(spared[0])
        spared[1].deadline = NEVER

    class Spawning(Thing):
        def expire(self) -> None:
            if not any(thing.expired_at for thing in things):
                gevent.spawn(take_turn)
            super().expire()

    things = [Spawning(clock.now) for _ in range(AT_ONCE * 3)]
    for thing in things:
        clock.watch(thing)
    wait_until(lambda: sum(bool(thing.expired_at) for thing in things) == len(things) - 2, what="the rest")
    assert [thing.expired_at for thing in spared] == [[], []]
