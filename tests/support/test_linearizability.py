"""The checker itself, on histories of a register that are known to be right or wrong."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.linearizability import NEVER, Call, explains, linearization


def register(state, operation):
    """`("read",)`, `("write", value)` or `("cas", expected, value)`; begins with 0."""
    name, *values = operation
    if name == "read":
        return state, state
    if name == "write":
        return values[0], None
    return (values[1], True) if state == values[0] else (state, False)


def read(value, called, returned):
    return Call(("read",), value, called, returned)


def write(value, called, returned):
    return Call(("write", value), None, called, returned)


def cas(expected, value, done, called, returned):
    return Call(("cas", expected, value), done, called, returned)


RIGHT = {
    "nothing": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read beside a write sees the old": [write(1, 0, 9), read(0, 1, 2)],
    "a read beside a write sees the new": [write(1, 0, 9), read(1, 1, 2)],
    "two reads beside a write, the old and then the new": [write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)],
    "two writes at once, either way": [write(1, 0, 9), write(2, 0, 9), read(1, 10, 11)],
    "one of two wins": [cas(0, 1, True, 0, 9), cas(0, 2, False, 0, 9), read(1, 10, 11)],
    "an increment each": [cas(0, 1, True, 0, 9), cas(1, 2, True, 0, 9), cas(2, 3, True, 0, 9)],
    "without an answer, and it happened": [write(1, 0, NEVER), read(1, 1, 2)],
    "without an answer, and it did not": [write(1, 0, NEVER), read(0, 1, 2)],
    "without an answer, and it happened much later": [
        write(1, 0, NEVER),
        read(0, 1, 2),
        write(2, 3, 4),
        read(1, 5, 6),
    ],
    "without an answer, and another's success shows it": [
        write(1, 0, NEVER),
        cas(1, 2, True, 1, 2),
        read(2, 3, 4),
    ],
}
WRONG = {
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "a read from nowhere": [write(1, 0, 1), read(2, 0, 3)],
    "a read of the future": [read(1, 0, 1), write(1, 2, 3)],
    "the new and then the old": [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)],
    "two readers who disagree": [write(1, 0, 1), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)],
    "a lost write": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "both win": [cas(0, 1, True, 0, 9), cas(0, 2, True, 0, 9)],
    "neither wins": [cas(0, 1, False, 0, 9), cas(0, 2, False, 0, 9)],
    "a lost increment": [cas(0, 1, True, 0, 1), cas(1, 2, True, 2, 3), read(1, 4, 5)],
    "without an answer, and it happened twice": [
        write(1, 0, NEVER),
        read(1, 1, 2),
        write(2, 3, 4),
        read(2, 5, 6),
        read(1, 7, 8),
    ],
    "without an answer, and seen before it was asked": [read(1, 0, 1), write(1, 2, NEVER)],
}


@pytest.mark.parametrize("calls", RIGHT.values(), ids=RIGHT)
def test_right(calls):
    order = linearization(calls, 0, register)
    assert order is not None
    assert explains(order, 0, register)
    assert {call for call in calls if call.returned < NEVER} <= set(order)


@pytest.mark.parametrize("calls", WRONG.values(), ids=WRONG)
def test_wrong(calls):
    assert linearization(calls, 0, register) is None
    assert not any(explains(order, 0, register) for order in permutations(calls))


VALUES = st.integers(0, 2)
CALLS = st.builds(
    lambda operation, answer, called, lasts: Call(operation, answer, called, called + lasts),
    st.tuples(st.just("read"))
    | st.tuples(st.just("write"), VALUES)
    | st.tuples(st.just("cas"), VALUES, VALUES),
    VALUES | st.none() | st.booleans(),
    st.integers(0, 9),
    st.sampled_from([1, 3, 9, NEVER]),
)


@settings(max_examples=300)
@given(st.lists(CALLS, max_size=5))
def test_as_trying_every_order_would(calls):
    answered = [call for call in calls if call.returned < NEVER]
    lost = [call for call in calls if call.returned == NEVER]
    orders = (
        order
        for number in range(2 ** len(lost))
        for order in permutations(answered + [call for bit, call in enumerate(lost) if number >> bit & 1])
    )
    assert (linearization(calls, 0, register) is not None) == any(
        explains(order, 0, register) for order in orders
    )


def test_a_long_history_takes_no_long_search():
    """Eight clients at once, all the time, and every tenth call without an answer."""
    calls = []
    for number in range(2_000):
        returned = NEVER if number % 10 == 0 else number + 8.5
        calls.append(
            write(number, number, returned)
            if number % 3
            else read(number - 1 if number else 0, number, number + 8.5)
        )
    assert linearization(calls, 0, register) is not None
