"""The bars that successes are held against: stable's quantiles of the minute before they come.

A bar must be fixed before the events it judges. So each instance sets its own, by its own stable traffic, once
a minute; none has to be agreed on, since all that is counted is how often a bar was missed, and by whom.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.histogram import quantile

SHARES = (0.5, 0.9, 0.99)
# Seconds between two settings of the bars.
PERIOD = 60.0
# From fewer responses than these no bar is taken: the one before stays.
LEAST = 100

Bars = tuple[float, ...]


def bars(buckets: Sequence[int], bounds: Sequence[float], before: Bars = ()) -> Bars:
    """The bars for the next minute, in seconds; () when there are none yet.

    `buckets`: how many of stable's successes of this minute came within each of `bounds`, as for `quantile`.
    """
    if sum(buckets) < LEAST:
        return before
    return tuple(quantile(share, buckets, bounds) or 0.0 for share in SHARES)
