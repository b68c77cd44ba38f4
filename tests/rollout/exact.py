"""Small cases counted out in full: all sequences of events there can be, each with its probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import TypeVar

S = TypeVar("S")


def chance(theta: float, w: float) -> float:
    """That a bad event is the canary's."""
    return theta * w / (theta * w + 1 - w)


def paths(
    state: S, after: Callable[[S, bool], S], events: int, likely: float
) -> Iterator[tuple[float, list[S]]]:
    """Each sequence of so many events, of which each is the canary's with probability `likely`."""
    for sequence in product((True, False), repeat=events):
        states, probability = [state], 1.0
        for canary in sequence:
            states.append(after(states[-1], canary))
            probability *= likely if canary else 1 - likely
        yield probability, states
