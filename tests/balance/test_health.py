"""Servers that fail probes or requests, and how they come back: greenlets, but a clock and servers of our own."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gevent
import pytest

from app.balance.balancer import Balancer
from app.balance.health import Health
from app.balance.server import Load
from app.config.model import Config, HealthConfig, OutlierConfig
from app.errors import UpstreamError
from tests.balance.helpers import Loads, balancer, config
from tests.support.processes import wait_until

A, B, C = (f"http://stable-{n}" for n in range(3))
PROBED = HealthConfig("/health", interval=0.05, rise=2, fall=3, slow_start=None)
PERIOD = 0.01
OUTLIER = OutlierConfig(consecutive=3, rate=None, ejection=10.0)


class Fleet:
    """A health, its balancer, and what each server answers to probes: a status, or an error."""

    def __init__(self, of: Config) -> None:
        self.now = 100.0
        self.loads = Loads()
        self.answers: dict[Load, int | Exception] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.seconds = self.refreshes = 0
        self.health = Health(
            self.refresh,
            random.Random(1),
            each_second=self.second,
            probe=self.probe,
            now=lambda: self.now,
            period=PERIOD,
        )
        self.use(of)

    def use(self, of: Config) -> None:
        self.config = of
        previous: Balancer | None = getattr(self, "balancer", None)
        self.balancer = balancer(of, self.loads, previous=previous)
        urls = {server.url for server in self.balancer.servers}
        for url in self.loads.keys() - urls:
            del self.loads[url]
        for load in self.loads.values():
            load.pool = load
        self.health.adopt(of, self.loads)

    def probe(self, load: Load, path: str, host: str | None, seconds: float) -> int:
        self.asked.append((load, path, host, seconds))
        answer = self.answers.get(load, 200)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refresh(self) -> tuple[str, ...]:
        self.refreshes += 1
        self.balancer.refresh()
        return self.balancer.out

    def second(self) -> None:
        self.seconds += 1

    def serving(self) -> set[str]:
        return {server.url for server in self.balancer._groups["stable"].servers}

    def fail(self, url: str, times: int = 1) -> None:
        load = self.loads[url]
        for _ in range(times):
            load.requests += 1
            load.in_a_row += 1
            load.failures += 1
            self.health.failed(load)

    def probes(self, url: str) -> int:
        return sum(asked[0] is self.loads[url] for asked in self.asked)

    def more_probes(self, url: str, times: int = 2) -> None:
        before = self.probes(url)
        wait_until(lambda: self.probes(url) >= before + times, what=f"{times} probes")

    def later(self, seconds: float) -> None:
        """So much later, and everything that is due then done."""
        self.now += seconds
        gevent.sleep(2 * PERIOD)


@contextmanager
def fleet(**fields: Any) -> Iterator[Fleet]:
    """Three stable servers."""
    made = Fleet(config((1, 1, 1), (), **fields))
    made.health.start()
    try:
        yield made
    finally:
        made.health.stop()


def test_without_a_path_nobody_is_probed() -> None:
    with fleet() as some:
        some.later(1)
        assert some.asked == []


def test_a_probe_asks_as_the_document_says() -> None:
    with fleet(health=replace(PROBED, host="www.example", timeout=0.7)) as some:
        wait_until(lambda: len({load for load, *_ in some.asked}) == 3, what="each server probed")
        assert {tuple(rest) for _, *rest in some.asked} == {("/health", "www.example", 0.7)}


@pytest.mark.parametrize("answer", [503, UpstreamError("refused", sent=False)])
def test_a_server_is_down_after_several_probes_and_up_after_several(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with fleet(health=PROBED) as some:
        wait_until(lambda: some.probes(A) >= 1, what="the first probe")
        some.answers[some.loads[A]] = answer
        before = some.probes(A)
        wait_until(lambda: some.loads[A].down, what="it down")
        assert some.probes(A) >= before + 3
        assert some.serving() == {B, C}
        del some.answers[some.loads[A]]
        before = some.probes(A)
        wait_until(lambda: not some.loads[A].down, what="it up")
        assert some.probes(A) >= before + 2
        assert some.serving() == {A, B, C}
    told = [record.getMessage() for record in caplog.records]
    assert [f"server {A} is down" in told[0], f"server {A} is up" in told[1], len(told)] == [True, True, 2]


def test_the_first_probe_of_a_server_decides_at_once() -> None:
    some = Fleet(config((1, 1, 1), (), health=replace(PROBED, interval=3600.0)))
    some.answers[some.loads[A]] = 500
    try:
        wait_until(lambda: some.serving() == {B, C}, what="it down")
    finally:
        some.health.stop()


def test_the_statuses_of_a_server_that_is_well_are_the_documents() -> None:
    with fleet(health=replace(PROBED, statuses=("4xx", 200))) as some:
        some.answers = dict.fromkeys(some.loads.values(), 204)
        some.answers[some.loads[A]] = 404
        wait_until(lambda: some.serving() == {A}, what="the others down")


def test_what_is_known_survives_changes_of_the_config() -> None:
    with fleet(health=PROBED) as some:
        some.answers[some.loads[A]] = 503
        wait_until(lambda: some.loads[A].down, what="it down")
        for number in range(20):
            some.use(replace(some.config, update_rate=1.0 + number))
            assert some.serving() == {B, C}
        before = some.probes(A)
        some.use(replace(some.config, health=replace(PROBED, path="/other")))
        assert some.serving() == {B, C}
        wait_until(lambda: some.probes(A) > before and some.asked[-1][1] == "/other", what="the new path")
        assert some.loads[A].down


def test_a_change_that_is_not_about_probes_leaves_their_pace() -> None:
    with fleet(health=replace(PROBED, interval=3600.0)) as some:
        wait_until(lambda: len(some.asked) == 3, what="the first probes")
        for number in range(10):
            some.use(replace(some.config, update_rate=1.0 + number))
        some.later(0)
        assert len(some.asked) == 3
        some.use(replace(some.config, health=replace(PROBED, interval=0.05)))
        some.more_probes(A)


def test_a_server_that_is_gone_is_not_probed_and_one_that_comes_is() -> None:
    with fleet(health=PROBED) as some:
        some.more_probes(C)
        gone = some.loads[C]
        some.use(config((1, 1), (), health=PROBED))
        count = len([load for load, *_ in some.asked if load is gone])
        some.more_probes(A)
        assert len([load for load, *_ in some.asked if load is gone]) == count
        some.use(config((1, 1, 1), (), health=PROBED))
        some.more_probes(C)
        assert some.loads[C] is not gone


def test_when_probes_end_so_does_their_verdict() -> None:
    with fleet(health=PROBED) as some:
        some.answers[some.loads[A]] = 503
        wait_until(lambda: some.loads[A].down, what="it down")
        some.use(replace(some.config, health=replace(PROBED, path=None)))
        assert some.serving() == {A, B, C}
        count = len(some.asked)
        some.later(0)
        assert len(some.asked) == count


def test_a_probe_that_breaks_does_not_end_the_probing(caplog: pytest.LogCaptureFixture) -> None:
    with fleet(health=PROBED) as some, caplog.at_level(logging.CRITICAL):
        some.answers[some.loads[A]] = KeyError("ours")
        some.more_probes(A, 3)
        some.answers[some.loads[A]] = 503
        wait_until(lambda: some.loads[A].down, what="it down")


def test_a_server_that_fails_is_ejected_and_comes_back() -> None:
    with fleet(outlier=OUTLIER, health=HealthConfig(slow_start=None)) as some:
        some.fail(A, 2)
        assert some.serving() == {A, B, C}
        some.fail(A)
        assert some.serving() == {B, C}
        some.later(9.9)
        assert some.serving() == {B, C}
        some.later(0.1)
        assert some.serving() == {A, B, C}
        assert (some.loads[A].in_a_row, some.loads[A].ejections) == (0, 1)
        some.fail(A, 2)
        assert some.serving() == {A, B, C}
        some.fail(A)
        some.later(19.9)
        assert some.serving() == {B, C}
        some.later(0.1)
        assert some.serving() == {A, B, C}


def test_only_a_share_of_a_version_is_ejected() -> None:
    with fleet(outlier=OUTLIER) as some:
        some.fail(A, 5)
        some.fail(B, 5)
        assert some.serving() == {B, C}
        some.later(10)
        some.fail(B)
        assert some.serving() == {A, C}


def test_a_server_of_both_versions_needs_room_in_both() -> None:
    some = Fleet(config({"a": 1, "b": 1}, {"a": 1}, outlier=OUTLIER))
    some.fail("http://a", 5)
    assert some.serving() == {"http://a", "http://b"}
    some.fail("http://b", 5)
    assert some.serving() == {"http://a"}


def test_servers_that_take_no_requests_do_not_count_in_the_share() -> None:
    some = Fleet(config((1, 1, 0, 0), (), outlier=replace(OUTLIER, max_ejected=0.4)))
    some.fail(A, 5)
    assert some.serving() == {A, B}


def test_an_ejection_survives_changes_of_the_config() -> None:
    with fleet(outlier=OUTLIER) as some:
        some.fail(A, 3)
        some.use(replace(some.config, update_rate=2.0))
        assert some.serving() == {B, C}
        some.later(10)
        assert some.serving() == {A, B, C}


def test_a_failure_at_a_server_that_is_gone_is_nobodys() -> None:
    some = Fleet(config((1, 1, 1), (), outlier=OUTLIER))
    gone = some.loads[C]
    some.use(config((1, 1), (), outlier=OUTLIER))
    gone.in_a_row = 10
    some.health.failed(gone)
    assert not gone.ejected


def test_a_server_that_is_back_gets_its_share_bit_by_bit() -> None:
    with fleet(outlier=OUTLIER, health=HealthConfig(slow_start=9.0)) as some:
        some.fail(A, 3)
        some.later(10)
        seen = [some.loads[A].tenths]
        for _ in range(9):
            some.later(1)
            seen.append(some.loads[A].tenths)
        assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        refreshes = some.refreshes
        some.later(1)
        assert some.refreshes == refreshes


def test_a_server_that_is_up_again_starts_slowly_and_a_new_one_does_not() -> None:
    with fleet(health=replace(PROBED, slow_start=60.0)) as some:
        some.more_probes(A)
        assert some.loads[A].tenths == 10
        some.answers[some.loads[A]] = 503
        wait_until(lambda: some.loads[A].down, what="it down")
        some.answers.clear()
        wait_until(lambda: not some.loads[A].down, what="it up")
        assert some.loads[A].tenths == 1


def test_each_second_is_told() -> None:
    with fleet() as some:
        for _ in range(3):
            some.later(1)
        assert some.seconds == 3
