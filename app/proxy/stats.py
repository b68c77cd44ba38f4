"""What the proxy counts: plain ints, added to on the hot path and read by whoever wants to know.

All figures only grow, so figures of several processes merge by addition.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from app.rollout.crowd import CANARY, HIT, SEEN, Crowd
from app.rollout.observed import BARS, FAILURES, MOST_STRATA
from app.rollout.scale import Scale

# Upper bounds in seconds of the buckets for the time to the response head: 0.25 ms to 64 s, a factor of √2 each.
BOUNDS = tuple(0.00025 * 2 ** (step / 2) for step in range(37))

# Why an exchange may fail that says nothing about a server.
OURS = ("out_of_sockets",)

VERSIONS = ("stable", "canary")
NO_BARS = Scale(BOUNDS)

# So many ratios have figures of their own: those that were in force last.
_MOST_BOOKS = 32


@dataclass(slots=True, eq=False)
class VersionStats:
    """Figures of one version. `answered[n]` counts responses with status nxx.

    All but `spared` are of first tries: a request is the business of the version it was given to, whoever
    answered it. `failures` counts, by reason, exchanges that a server did not complete, `cut` those of them that
    it had begun to answer, `cut_errors` those of these with a status of 5xx; `aborts` those that the client left,
    `left` those of them that were being answered; `spared`, by what was done, failed first tries whose client got
    a good answer all the same.

    What is for the verdict: `ratio` is what sent these requests here. `recent` sorts the times of what is no
    failure by `bounds`; `marks` are what each of its buckets means for the `crowd`; where visitors do not stick, there
    is none.
    """

    canary: bool = False
    ratio: float = 0.0
    crowd: Crowd | None = None
    scale: Scale = NO_BARS
    answered: list[int] = field(default_factory=lambda: [0] * 10)
    failures: dict[str, int] = field(default_factory=dict)
    cut: int = 0
    cut_errors: int = 0
    aborts: int = 0
    left: int = 0
    seconds: float = 0.0
    spared: dict[str, int] = field(default_factory=lambda: {"retry": 0, "shield": 0, "rescue": 0})
    recent: list[int] = field(init=False)
    bounds: tuple[float, ...] = field(init=False)
    marks: tuple[int, ...] = field(default=(), init=False)
    _seen: int = field(init=False)
    _times: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1), init=False)
    _missed: list[int] = field(default_factory=lambda: [0] * len(BARS), init=False)
    _nanoseconds: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._seen = SEEN | CANARY if self.canary else SEEN
        self._measure_by(self.scale)

    def answer(self, status: int, seconds: float, bucket: int = 0) -> None:
        """Count a response whose head came after `seconds`. `bucket`: the visitor's, where they stick."""
        self.answered[status // 100] += 1
        self.seconds += seconds
        if status >= 500:
            self._times[bisect_left(BOUNDS, seconds)] += 1
            self._note_failure(bucket)
            return
        place = bisect_left(self.bounds, seconds)
        self.recent[place] += 1
        crowd = self.crowd
        if crowd is not None and (new := self.marks[place] & crowd.fresh[bucket]):
            if new == SEEN:  # as `note` does it, but most visitors are no more than new
                crowd.fresh[bucket] ^= SEEN
                crowd.begun = True
            else:
                crowd.note(new, bucket, self.ratio)

    def fail(self, reason: str, bucket: int = 0) -> None:
        """Count an exchange that a server did not complete."""
        self.failures[reason] = self.failures.get(reason, 0) + 1
        if reason not in OURS:
            self._note_failure(bucket)

    def break_off(self, reason: str, status: int, bucket: int = 0) -> None:
        """The same of one whose answer, of this status, has been counted."""
        self.cut += 1
        self.cut_errors += status >= 500
        self.fail(reason, bucket)

    def _note_failure(self, bucket: int) -> None:
        if self.crowd is not None:
            self.crowd.note(self._seen | HIT[FAILURES], bucket, self.ratio)

    def set_scale(self, scale: Scale) -> None:
        """From now on other bars say what is slow."""
        self._times, self._missed = self.histogram, self.missed
        self._measure_by(scale)

    def _measure_by(self, scale: Scale) -> None:
        self.scale, self.bounds = scale, scale.bounds
        self.recent = [0] * scale.buckets
        if self.crowd is not None:
            self.marks = tuple(
                self._seen + sum(HIT[BARS[bar]] for bar in scale.missed(place))
                for place in range(scale.buckets)
            )

    @property
    def histogram(self) -> list[int]:
        """How long the heads of all responses took, by BOUNDS and one more."""
        return _added(self._times, self.scale.as_histogram(self.recent))

    @property
    def missed(self) -> list[int]:
        """How many of what is no failure missed each of BARS, as those were at the time."""
        return _added(self._missed, self.scale.slow(self.recent))

    @property
    def nanoseconds(self) -> int:
        """The sum of all times to the head, whole so that it is exact."""
        return self._nanoseconds + round(self.seconds * 1e9)

    @property
    def empty(self) -> bool:
        """Has nothing been counted?"""
        return not (any(self.answered) or self.failures or self.aborts or any(self.spared.values()))

    def take_in(self, other: VersionStats) -> None:
        """Add another's figures, but none that are for the verdict."""
        self.answered = _added(self.answered, other.answered)
        self._times = _added(self._times, other.histogram)
        self._nanoseconds += other.nanoseconds
        self.cut += other.cut
        self.cut_errors += other.cut_errors
        self.aborts += other.aborts
        self.left += other.left
        for mine, others in ((self.failures, other.failures), (self.spared, other.spared)):
            mine |= {word: mine.get(word, 0) + count for word, count in others.items()}


@dataclass(slots=True, eq=False)
class Book:
    """The figures of what one ratio has sent, by version. `diverted`: of what came while a version was out.

    `way`: how it was drawn, as a number.
    """

    ratio: float
    way: int
    versions: dict[str, VersionStats]
    diverted: dict[str, VersionStats]


class Books:
    """The figures of all first tries, by what sent them where they went. The balancer asks for them (see `balance`).

    A ratio that is drawn in another way begins anew, and so does one that is no longer `present`: whoever reads these
    figures has forgotten how far it was. `apart`: of what no ratio sent. `scale`: what is slow now. `crowd`: of the
    visitors who stick, if they do.
    """

    __slots__ = ("_books", "_former", "_salt", "_way", "apart", "crowd", "scale")

    def __init__(self) -> None:
        self.scale = NO_BARS
        self.apart = self._pair(0.0)
        self.crowd: Crowd | None = None
        self._salt: str | None = None
        self._way = 0
        self._former = self._pair(0.0)
        self._books: list[Book] = []

    def book(self, ratio: float, salt: str | None, out: bool) -> dict[str, VersionStats]:
        """Where to count what this ratio sends, by version.

        `salt`: what visitors are drawn by, who stick; None: they do not. `out`: a version is.
        """
        if salt != self._salt:
            self._salt, self._way = salt, self._way + 1
            self.crowd = None if salt is None else Crowd()
        book = next((book for book in self.present if book.ratio == ratio), None)
        if book is None:
            book = self._new(ratio)
        else:
            self._books.remove(book)
        self._books.append(book)
        if len(self._books) > _MOST_BOOKS:
            self._close(self._books.pop(0))
        if self.crowd is not None and not ratio:
            self.crowd.begin()
        return book.diverted if out else book.versions

    @property
    def present(self) -> list[Book]:
        """Those of what is drawn as now, MOST_STRATA at most; the ratio that was in force last comes last."""
        return [book for book in self._books if book.way == self._way][-MOST_STRATA:]

    def set_scale(self, scale: Scale) -> None:
        """From now on other bars say what is slow."""
        self.scale = scale
        for version in VERSIONS:
            for stats in self._sent(version):
                stats.set_scale(scale)

    def stable_times(self) -> list[int]:
        """Of stable's successes since the scale was set, in its buckets."""
        return [sum(column) for column in zip(*(stats.recent for stats in self._sent("stable")), strict=True)]

    def total(self, version: str) -> VersionStats:
        """All figures of a version."""
        total = VersionStats()
        for stats in (self._former[version], self.apart[version], *self._sent(version)):
            if not stats.empty:
                total.take_in(stats)
        return total

    def _sent(self, version: str) -> list[VersionStats]:
        pairs = (pair for book in self._books for pair in (book.versions, book.diverted))
        return [pair[version] for pair in pairs]

    def _close(self, book: Book) -> None:
        for pair in (book.versions, book.diverted):
            for version, stats in pair.items():
                self._former[version].take_in(stats)

    def _new(self, ratio: float) -> Book:
        """While nobody is on the canary there is nothing to be remembered of anybody."""
        crowd = self.crowd if ratio else None
        return Book(ratio, self._way, self._pair(ratio, crowd), self._pair(ratio))

    def _pair(self, ratio: float, crowd: Crowd | None = None) -> dict[str, VersionStats]:
        return {name: VersionStats(name == "canary", ratio, crowd, self.scale) for name in VERSIONS}


@dataclass(slots=True, eq=False)
class Stats:
    """Figures of one process. `refused` counts, by reason, the answers of our own instead of a server's.

    `tries` counts tries beyond the first by what they are for, and those that the budget did not allow;
    `again` has the figures of all these, `books` those of first tries.
    """

    books: Books = field(default_factory=Books)
    choices: dict[str, int] = field(
        default_factory=lambda: {"override": 0, "sticky": 0, "style": 0, "rescue": 0}
    )
    tries: dict[str, int] = field(
        default_factory=lambda: {"retry": 0, "shield": 0, "rescue": 0, "over_budget": 0}
    )
    again: VersionStats = field(default_factory=VersionStats)
    refused: dict[str, int] = field(default_factory=dict)
    connections: int = 0

    @property
    def requests(self) -> int:
        """All that were given to a server."""
        return sum(self.choices.values())

    @property
    def versions(self) -> dict[str, VersionStats]:
        """The figures of each version's first tries, as they are now."""
        return {version: self.books.total(version) for version in VERSIONS}

    def refuse(self, reason: str) -> None:
        """Count a request turned away."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


def _added(one: list[int], other: list[int]) -> list[int]:
    return [first + second for first, second in zip(one, other, strict=True)]
