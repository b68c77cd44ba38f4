from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.admin.observer import Observer
from app.admin.trial import TrialNews
from app.config.keys import KeyClient
from app.rollout import journal
from app.rollout.plan import Gates, Plan, SlowGate
from app.rollout.state import Rollout, State
from tests.admin.instance import Instance
from tests.support.keys import config_server, connected, put
from tests.support.processes import free_port

KEY = "shop/rollout"
ROLLOUT = Rollout("r1", Plan(gates=Gates(slow=SlowGate(over=0.3))), State.RUNNING)
LEARNT = (("r1", 1), 0.3)
Heard = list[tuple[tuple[str, int] | None, float | None]]


@pytest.fixture
def keys() -> Iterator[KeyClient]:
    with config_server() as url, connected(url) as client:
        yield client


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def news(heard: Heard) -> TrialNews:
    return TrialNews(KEY, lambda trial, over: heard.append((trial, over)))


def begin(keys: KeyClient, rollout: Rollout = ROLLOUT) -> None:
    put(keys, KEY, journal.dump(rollout))


def test_it_learns_the_bar_of_the_plan(keys: KeyClient, news: TrialNews, heard: Heard) -> None:
    begin(keys)
    news.ask(keys)
    assert heard == [LEARNT]


def test_what_has_not_changed_is_not_read_again(keys: KeyClient, news: TrialNews, heard: Heard) -> None:
    begin(keys)
    for _ in range(3):
        news.ask(keys)
    begin(keys, replace(ROLLOUT, trial=2))
    news.ask(keys)
    assert heard == [LEARNT, (("r1", 2), 0.3)]


@pytest.mark.parametrize("gates", [Gates(), Gates(slow=None)])
def test_a_plan_may_have_no_bar(keys: KeyClient, news: TrialNews, heard: Heard, gates: Gates) -> None:
    begin(keys, replace(ROLLOUT, plan=Plan(gates=gates)))
    news.ask(keys)
    assert heard == [(("r1", 1), None)]


@pytest.mark.parametrize("end", [State.DONE, State.ROLLED_BACK])
def test_after_its_end_nothing_is_tried(keys: KeyClient, news: TrialNews, heard: Heard, end: State) -> None:
    begin(keys, replace(ROLLOUT, state=end))
    news.ask(keys)
    assert heard == [(None, None)]


def test_nor_when_it_is_gone(keys: KeyClient, news: TrialNews, heard: Heard) -> None:
    begin(keys)
    news.ask(keys)
    keys.delete(KEY)
    news.ask(keys)
    begin(keys)
    news.ask(keys)
    assert heard == [LEARNT, (None, None), LEARNT]


def test_what_cannot_be_learnt_stays_as_it_was(
    keys: KeyClient, news: TrialNews, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    begin(keys)
    news.ask(keys)
    with connected(f"http://127.0.0.1:{free_port()}") as nobody:
        news.ask(nobody)
        news.ask(nobody)
    put(keys, KEY, {"state": "of another kind"})
    news.ask(keys)
    assert heard == [LEARNT]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    begin(keys, replace(ROLLOUT, trial=2))
    news.ask(keys)
    assert heard[1:] == [(("r1", 2), 0.3)]


def test_slow_is_what_exceeds_the_bar_from_then_on(keys: KeyClient, instance: Instance) -> None:
    observer = Observer(instance.stats.books)
    instance.apply().serve("canary", 200, seconds=0.31)
    begin(keys)
    TrialNews(KEY, observer.heed).ask(keys)
    for seconds in (0.29, 0.3, 0.3000001, 64.0):
        instance.serve("canary", 200, seconds=seconds)
    assert observer.observed().strata[0].canary.slow == (0, 0, 0, 2)
