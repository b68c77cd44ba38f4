"""One writer a key at a time."""

from __future__ import annotations

import gevent
import pytest

from kv.engine.etcd.turns import Turns
from kv.errors import Unavailable


def test_first_come_first_served_even_if_the_first_comes_again():
    turns, order = Turns(), []

    def write(name):
        for _ in range(3):
            with turns.take(["a"], 5):
                order.append(name)
                gevent.sleep(0)

    gevent.joinall([gevent.spawn(write, name) for name in "xyz"], timeout=5, raise_error=True)
    assert order == list("xyzxyzxyz")


def test_other_keys_do_not_wait():
    turns = Turns()
    with turns.take(["a"], 5), turns.take(["b", "c"], 0):
        pass


def test_no_two_wait_for_each_other():
    turns, done = Turns(), []

    def write(keys):
        for _ in range(50):
            with turns.take(keys, 5):
                gevent.sleep(0)
        done.append(keys)

    writers = [gevent.spawn(write, keys) for keys in (["a", "b"], ["b", "a"], ["b", "c"], ["c", "a", "a"])]
    gevent.joinall(writers, timeout=5, raise_error=True)
    assert len(done) == 4


def test_who_waits_too_long_gives_up_and_is_in_nobodys_way():
    turns = Turns()
    with turns.take(["a"], 5):
        late = gevent.spawn(turns.take(["a", "b"], 0.01).__enter__)
        with pytest.raises(Unavailable):
            late.get(timeout=5)
    with turns.take(["a", "b"], 0):
        pass
    assert not turns._lines


def test_who_fails_lets_the_next_one_go_on():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.take(["a"], 5):
        raise ZeroDivisionError
    with turns.take(["a"], 0):
        pass
