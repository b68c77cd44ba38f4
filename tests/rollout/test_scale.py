from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from app.rollout.observed import BARS
from app.rollout.scale import Scale

BOUNDS = (0.1, 0.2, 0.4)
TIMES = st.lists(st.floats(0, 1), max_size=50)
BARS_SET = st.just(()) | st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(sorted).map(tuple)


def counted(scale: Scale, times: list[float]) -> list[int]:
    counts = [0] * scale.buckets
    for seconds in times:
        counts[bisect_left(scale.bounds, seconds)] += 1
    return counts


@given(TIMES, BARS_SET, st.none() | st.floats(0.01, 1))
def test_a_bar_is_exact_wherever_it_lies(
    times: list[float], bars: tuple[float, ...], over: float | None
) -> None:
    scale = Scale(BOUNDS, bars, over)
    all_bars = [*(bars or [None] * 3), over]
    assert scale.slow(counted(scale, times)) == [
        0 if bar is None else sum(seconds > bar for seconds in times) for bar in all_bars
    ]
    for seconds in times:
        missed = scale.missed(bisect_left(scale.bounds, seconds))
        assert missed == [
            place for place in range(len(BARS)) if (bar := all_bars[place]) is not None and seconds > bar
        ]


@given(TIMES, BARS_SET)
def test_bars_leave_the_histogram_as_it_is(times: list[float], bars: tuple[float, ...]) -> None:
    scale, plain = Scale(BOUNDS, bars), Scale(BOUNDS)
    assert scale.as_histogram(counted(scale, times)) == counted(plain, times)
