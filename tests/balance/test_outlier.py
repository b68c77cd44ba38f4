"""When a server is ejected, told as a machine of values is: step by step, and against a model that forgets nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.balance.outlier import Record, Tally, ejected, failed, may_eject, too_bad
from app.config.model import OutlierConfig

NEVER = OutlierConfig(consecutive=None, rate=None)
IN_A_ROW = replace(NEVER, consecutive=3)
RATE = replace(NEVER, rate=0.5, min_requests=4, window=10.0)


@dataclass
class Server:
    """A server as its requests see it: "." is a success, "x" a failure, and a number seconds that pass."""

    rule: OutlierConfig
    now: float = 1000.0
    record: Record = field(default_factory=Record)
    in_a_row: int = 0
    requests: int = 0

    def after(self, story: str) -> bool:
        """Is it too bad at the end of the story?"""
        bad = False
        for event in story:
            bad = self.step(event)
        return bad

    def step(self, event: str) -> bool:
        if event.isdigit():
            self.now += int(event)
            return False
        self.requests += 1
        if event == ".":
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        tally = Tally(self.in_a_row, self.requests)
        self.record = failed(self.record, tally, self.now, self.rule)
        return too_bad(self.record, tally, self.rule)


@pytest.mark.parametrize(
    ("rule", "story", "bad"),
    [
        (IN_A_ROW, "xx", False),
        (IN_A_ROW, "xxx", True),
        (IN_A_ROW, "xxxx", True),
        (IN_A_ROW, "xx.xx.xx", False),
        (IN_A_ROW, "....xxx", True),
        (IN_A_ROW, "x9x9x", True),
        (RATE, "xxx", False),
        (RATE, "xxxx", True),
        (RATE, "x.x.x", True),
        (RATE, "x..x.x", True),
        (RATE, "x...x.x", False),
        (RATE, "......x", False),
        (RATE, "........xxxx", True),
        (RATE, "x9x1x9x", False),
        (RATE, "x3x3x3x", True),
        (RATE, "x3x3x3.x", True),
        (RATE, "xx9...9x.x", False),
        (replace(RATE, rate=1.0), "xxxx", True),
        (replace(RATE, rate=1.0), "xxx.xx", False),
        (replace(RATE, consecutive=2), "xx", True),
        (NEVER, "x" * 100, False),
    ],
)
def test_a_story(rule: OutlierConfig, story: str, bad: bool) -> None:
    assert Server(rule).after(story) is bad


@given(st.text("..x1", max_size=200))
@settings(deadline=None)
def test_the_rate_is_that_of_the_last_window(story: str) -> None:
    """Its begin is known to a tenth of the window, and to the failure that first stood in it."""
    server, ended = Server(RATE), list[tuple[float, bool]]()
    for event in story:
        bad = server.step(event)
        if event.isdigit():
            continue
        ended.append((server.now, event == "x"))
        if event == "x":
            verdicts = {rate(ended, begin) for begin in begins(ended, server.now)}
            assert bad in verdicts


def begins(ended: list[tuple[float, bool]], now: float) -> list[int]:
    """Where in the list the window may begin: at any of its failures that is young enough."""
    return [index for index, (at, bad) in enumerate(ended) if bad and at > now - RATE.window]


def rate(ended: list[tuple[float, bool]], begin: int) -> bool:
    failures = [bad for _, bad in ended[begin:]]
    assert RATE.rate is not None
    return len(failures) >= RATE.min_requests and sum(failures) >= RATE.rate * len(failures)


@given(st.text(".x1", max_size=300), st.integers(1, 5))
@settings(deadline=None)
def test_no_more_is_remembered_however_long_the_story(story: str, consecutive: int) -> None:
    server = Server(replace(RATE, consecutive=consecutive))
    for event in story:
        bad = server.step(event)
        assert len(server.record.marks) <= 11
        assert bad or server.in_a_row < consecutive or event != "x"


def test_a_5xx_may_be_told_before_its_request_has_ended() -> None:
    """Its head is the failure; so some failures may not be among the requests yet."""
    record, tally = Record(), Tally(1, 0)
    for _ in range(4):
        record = failed(record, tally, 0.0, RATE)
    assert too_bad(record, tally, RATE)


TEN = replace(NEVER, ejection=10.0)


@pytest.mark.parametrize(
    ("pauses", "lengths"),
    [
        ((), [10]),
        ((0, 0, 0, 0, 0, 0), [10, 20, 40, 80, 160, 160, 160]),
        ((9, 9), [10, 20, 40]),
        ((10,), [10, 10]),
        ((0, 0, 10), [10, 20, 40, 40]),
        ((0, 0, 20), [10, 20, 40, 20]),
        ((0, 0, 1000), [10, 20, 40, 10]),
    ],
)
def test_each_ejection_is_twice_as_long_unless_the_server_served_well(
    pauses: tuple[float, ...], lengths: list[float]
) -> None:
    record, now, seen = Record(), 500.0, []
    for pause in (0.0, *pauses):
        now += pause
        record = ejected(record, now, TEN)
        seen.append(record.until - now)
        now = record.until
    assert seen == lengths


def test_an_ejection_forgets_what_led_to_it() -> None:
    server = Server(RATE)
    assert server.after("xxxx")
    server.record = ejected(server.record, server.now, RATE)
    server.now, server.in_a_row = server.record.until, 0
    assert not server.after("xxx")
    assert server.after("x")


@pytest.mark.parametrize(
    ("share", "servers", "most"),
    [(0.5, 1, 0), (0.5, 2, 1), (0.5, 3, 1), (0.5, 4, 2), (0.3, 10, 3), (1.0, 1, 1), (1.0, 3, 3), (0.0, 9, 0)],
)
def test_only_a_share_of_a_version_is_ejected(share: float, servers: int, most: int) -> None:
    rule = replace(NEVER, max_ejected=share)
    assert [may_eject(out, servers, rule) for out in range(servers)] == [out < most for out in range(servers)]
