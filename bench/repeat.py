"""Many runs of one trial, each with random numbers of its own, and what they come to as a cell of a table."""

from __future__ import annotations

import multiprocessing
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Trial = Callable[[random.Random], Any]
When = Sequence[int | None]
_trial: Trial


@dataclass(frozen=True, slots=True)
class Runs:
    """How many, and in how many processes."""

    count: int
    jobs: int = 1

    def of(self, name: str, trial: Trial) -> list[Any]:
        """What the trial gives, time after time; the same for the same name."""
        global _trial  # noqa: PLW0603 - what a forked process finds there need not be pickled
        _trial = trial
        seeds = [f"{name} {number}" for number in range(self.count)]
        if self.jobs == 1:
            return [_once(seed) for seed in seeds]
        with multiprocessing.get_context("fork").Pool(self.jobs) as pool:
            return pool.map(_once, seeds, chunksize=max(1, self.count // (self.jobs * 8)))

    def part(self, of: int) -> Runs:
        """So many times fewer."""
        return Runs(max(self.count // of, 1), self.jobs)


def _once(seed: str) -> Any:
    return _trial(random.Random(seed))


def share(when: When) -> float:
    """Of the runs in which it came to that."""
    return sum(each is not None for each in when) / len(when)


def median(when: When) -> float | None:
    """When that was, in the median of all runs; None when it never was in half of them."""
    middle = statistics.median(float("inf") if each is None else each for each in when)
    return None if middle == float("inf") else middle


def cell(when: When) -> str:
    """How often, and when."""
    middle = median(when)
    return f"{share(when):.1%}" + (f" ({middle:g})" if middle is not None else "")
