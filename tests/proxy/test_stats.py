from __future__ import annotations

import pytest

from app.proxy.stats import BOUNDS, Books
from app.rollout.observed import FAILURES, KINDS, MOST_STRATA
from app.rollout.scale import Scale

FAST, HALF, BAR = 0.01, 0.5, 0.3


def befallen(books: Books) -> dict[str, list[int]]:
    """The buckets that the next report tells of, by kind; kinds without any are left out."""
    assert books.crowd is not None
    recent = books.crowd.report().recent
    found = {kind: [bucket for group in recent[kind] for bucket in group.buckets] for kind in KINDS}
    return {kind: buckets for kind, buckets in found.items() if buckets}


def canary_requests(books: Books) -> dict[float, int]:
    return {book.ratio: sum(book.versions["canary"].answered) for book in books.present}


def test_the_same_ratio_goes_on_where_it_was() -> None:
    books = Books()
    for ratio in (0.1, HALF, 0.1):
        books.book(ratio, None, out=False)["canary"].answer(200, FAST)
    assert canary_requests(books) == {HALF: 1, 0.1: 2}


@pytest.mark.parametrize("salt", [None, "a"])
def test_what_is_drawn_in_another_way_begins_anew(salt: str | None) -> None:
    books = Books()
    for way in (salt, "b", salt):
        books.book(HALF, way, out=False)["canary"].answer(200, FAST)
        assert canary_requests(books) == {HALF: 1}
    assert books.total("canary").answered[2] == 3


def test_and_so_does_a_ratio_of_long_ago() -> None:
    books = Books()
    for step in (0, *range(1, MOST_STRATA + 1), 0):
        books.book(step / 100, None, out=False)["canary"].answer(200, FAST)
    assert len(books.present) == MOST_STRATA
    assert set(canary_requests(books).values()) == {1}
    assert books.total("canary").answered[2] == MOST_STRATA + 2


def test_what_is_under_way_meanwhile_is_not_lost() -> None:
    books = Books()
    under_way = books.book(HALF, "a", out=False)["canary"]
    books.book(HALF, None, out=False)
    under_way.fail("timeout", 7)
    assert canary_requests(books) == {HALF: 0}
    assert books.total("canary").failures == {"timeout": 1}


def test_visitors_who_are_drawn_as_before_are_told_of_again() -> None:
    books = Books()
    for salt in ("a", "b", "a"):
        books.book(HALF, salt, out=False)["canary"].fail("timeout", 7)
        assert befallen(books) == {FAILURES: [7]}


@pytest.mark.parametrize(
    ("seconds", "missed"), [(FAST, []), (BAR, []), (BAR + 1e-9, ["over"]), (64.0, ["over"]), (9e9, ["over"])]
)
def test_an_answer_is_slow_that_takes_longer_than_the_bar(seconds: float, missed: list[str]) -> None:
    books, plain = Books(), Books()
    for each, salt in ((books, "a"), (plain, None)):
        each.set_scale(Scale(BOUNDS, (), BAR))
        each.book(HALF, salt, out=False)["canary"].answer(200, seconds, 7)
    assert befallen(books) == {kind: [7] for kind in missed}
    assert plain.total("canary").answered[2] == 1
    (book,) = plain.present
    assert book.versions["canary"].missed == [0, 0, 0, len(missed)]


def test_a_failure_is_never_slow_as_well() -> None:
    books = Books()
    books.set_scale(Scale(BOUNDS, (FAST, FAST, FAST), FAST))
    books.book(HALF, "a", out=False)["canary"].answer(503, 9.0, 7)
    assert befallen(books) == {FAILURES: [7]}
    assert books.present[0].versions["canary"].missed == [0, 0, 0, 0]


def test_for_a_lack_of_sockets_of_ours_no_visitor_is_taken_off() -> None:
    books = Books()
    stats = books.book(HALF, "a", out=False)["canary"]
    stats.fail("out_of_sockets", 7)
    assert befallen(books) == {}
    stats.fail("timeout", 7)
    assert befallen(books) == {FAILURES: [7]}
