"""What three instances report comes to the same as what one reports that has seen all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.admin.observer import Observer
from app.proxy.stats import BOUNDS, Books, VersionStats
from app.rollout import report
from app.rollout.buckets import BUCKETS
from app.rollout.judge import Judge
from app.rollout.observed import Observed
from app.rollout.plan import Gates, Plan, SlowGate
from app.rollout.scale import Scale

BARS = (0.01, 0.1, 0.2)
OVER = 0.3
PLAN = Plan(gates=Gates(slow=SlowGate(margin=2.0, over=OVER)), warmup=0)
RATIOS = (0.1, 0.25, 0.5)
INSTANCES = 3

Outcome = Callable[[VersionStats, int], None]


def answered(status: int, seconds: float) -> Outcome:
    return lambda stats, bucket: stats.answer(status, seconds, bucket)


def failed(reason: str) -> Outcome:
    return lambda stats, bucket: stats.fail(reason, bucket)


def cut(stats: VersionStats, bucket: int) -> None:
    stats.answer(200, 0.001, bucket)
    stats.break_off("truncated", 200, bucket)


def left(stats: VersionStats, _bucket: int) -> None:
    stats.aborts += 1


OUTCOMES: Sequence[Outcome] = (
    *(answered(200, seconds) for seconds in (0.01, 0.01001, 0.15, 0.3, 0.31, 9.0)),
    *(answered(404, 0.001), answered(503, 9.0)),
    *(failed("timeout"), failed("out_of_sockets"), cut, left),
)


class Event(NamedTuple):
    """`where`: an instance; `part`: the visitor's place in [0, 1); `ratio`: in force from then on, None: as before."""

    where: int
    part: float
    outcome: Outcome
    ratio: float | None


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, INSTANCES - 1),
        st.sampled_from((0.0, 0.01, 0.05, 0.2, 0.3, 0.6, 0.7, 0.99)),
        st.sampled_from(OUTCOMES),
        st.sampled_from((None, None, None, *RATIOS)),
    ),
    min_size=1,
    max_size=24,
)


class Side:
    """So many instances, and who judges by what they report."""

    def __init__(self, instances: int, salt: str | None) -> None:
        self.salt = salt
        self.books = [Books() for _ in range(instances)]
        self.judge = Judge(PLAN)
        for books in self.books:
            books.set_scale(Scale(BOUNDS, BARS, OVER))
        self.apply(RATIOS[0])
        self.look()

    def apply(self, ratio: float) -> None:
        self.now = [books.book(ratio, self.salt, out=False) for books in self.books]
        self.ratio = ratio

    def take(self, event: Event) -> None:
        if event.ratio is not None:
            self.apply(event.ratio)
        version = "canary" if event.part < self.ratio else "stable"
        stats = self.now[event.where % len(self.now)][version]
        event.outcome(stats, int(event.part * BUCKETS))

    def look(self) -> None:
        self.judge.look(dict(zip("abc", map(told, self.books), strict=False)), 1.0)


def told(books: Books) -> Observed:
    return report.load(report.dump(Observer(books, lambda: 0.0).observed()))


def evidence(judge: Judge) -> Mapping[tuple[str, str], tuple[float | None, ...]]:
    return {
        (gate.name, each.name): (each.events, each.canary, each.against, each.favour, *each.theta)
        for gate in judge.verdict().gates
        for each in gate.comparisons
    }


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.sampled_from((None, "salt")))
def test_three_instances_come_to_the_same_as_one(events: list[Event], salt: str | None) -> None:
    one, three = Side(1, salt), Side(INSTANCES, salt)
    for event in events:
        for side in (one, three):
            side.take(event)
            side.look()
    alone, together = one.judge.verdict(), three.judge.verdict()
    assert (alone.stable, alone.canary) == (together.stable, together.canary)
    assert (alone.share.asked, alone.share.seen) == (together.share.asked, together.share.seen)
    expected = evidence(one.judge)
    assert evidence(three.judge) == {name: pytest.approx(each, abs=1e-9) for name, each in expected.items()}
