"""Is there an order of these calls in which one thing, doing one after the other, would have given these answers?

The search is that of J. Wing and C. Gong (Testing and Verifying Concurrent Objects, 1993) with the memory of
G. Lowe (Testing for Linearizability, 2016). Knows nothing of what is called: a model says what each call does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

NEVER = float("inf")
"""When a call of which no answer came has returned: it may take effect at any time from its beginning on, or never."""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, what came back, and when (on one clock). `place`: where in the order it says it stands."""

    operation: Any
    answer: Any
    called: float
    returned: float
    place: int | None = None


Model = Callable[[Any, Any], tuple[Any, Any]]
"""From a state (hashable) and an operation to the state after it, and its answer."""


def linearization(calls: Iterable[Call], initial: Hashable, model: Model) -> list[Call] | None:
    """An order that explains all answers, or None. Calls without an answer are in it only if they have to be."""
    ordered = sorted(calls, key=lambda call: call.called)
    pending = list(range(len(ordered)))
    answered = sum(1 << number for number in pending if ordered[number].returned < NEVER)
    done, path = 0, list[int]()
    seen: set[tuple[int, Hashable]] = set()
    choices = [_choices(ordered, pending, initial, model)]
    while done & answered != answered:
        for number, state in choices[-1]:
            if (done | 1 << number, state) not in seen:
                done |= 1 << number
                seen.add((done, state))
                path.append(number)
                del pending[bisect_left(pending, number)]
                choices.append(_choices(ordered, pending, state, model))
                break
        else:
            if not path:
                return None
            choices.pop()
            insort(pending, path[-1])
            done ^= 1 << path.pop()
    return [ordered[number] for number in path]


def _choices(
    ordered: Sequence[Call], pending: Iterable[int], state: Any, model: Model
) -> Iterator[tuple[int, Any]]:
    """Those of the pending calls that may be next, with the state after each: none had returned before they began.

    Those without an answer come last, for they are seldom needed.
    """
    candidates, lost, earliest = list[int](), list[int](), NEVER
    for number in pending:
        if ordered[number].called > earliest:
            break
        earliest = min(earliest, ordered[number].returned)
        (candidates if ordered[number].returned < NEVER else lost).append(number)
    return (
        (number, after)
        for number in (*candidates, *lost)
        for after, answer in [model(state, ordered[number].operation)]
        if ordered[number].returned == NEVER or answer == ordered[number].answer
    )


def explains(order: Iterable[Call], initial: Hashable, model: Model) -> bool:
    """Whether this very order does: no call stands behind one that was made after it had returned."""
    state, latest = initial, -NEVER
    for call in order:
        state, answer = model(state, call.operation)
        if call.returned < latest or (call.returned < NEVER and answer != call.answer):
            return False
        latest = max(latest, call.called)
    return True
