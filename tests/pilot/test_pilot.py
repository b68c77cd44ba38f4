"""A pilot beside a real config server in this process, look by look; what the instances report is made up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests import ConnectionError as NoConnection
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from app.config.keys import KeyClient
from app.errors import ConfigMissing, ConfigServerError
from app.pilot.instances import Instance
from app.pilot.numbers import Numbers, Reading, Reports, Trial
from app.pilot.pilot import Pilot
from app.pilot.state import state
from app.pilot.webhooks import Webhooks
from app.rollout import report
from app.rollout.plan import Gates, Plan, Step
from app.rollout.situation import Command
from app.rollout.state import State
from app.rollout.verdict import INCONCLUSIVE
from tests.rollout.reports import observed, outcomes
from tests.support.keys import CONFIG, put, reported

PLAN = Plan((Step(0.1), Step(0.5)), hold=10.0, gates=Gates(None, None), warmup=0.0, min_requests=1)
DOCUMENT = CONFIG | {"ratio": 0}


class Killed(BaseException):
    """The pilot is killed at this moment."""


class Line(HTTPAdapter):
    """A pilot's way to the config server. `away`: it leads nowhere. `kills`: what to do at write number so and so."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.writes = 0
        self.kill_at = 0
        self.kill_after = False

    def send(self, request: PreparedRequest, *more: Any, **options: Any) -> Response:
        if self.away:
            raise NoConnection
        is_write = request.method in ("PUT", "POST")
        self.writes += is_write
        due = is_write and self.writes == self.kill_at
        if due and not self.kill_after:
            raise Killed
        response = super().send(request, *more, **options)
        if due:
            raise Killed
        return response

    def session(self) -> Session:
        """One whose calls take this way."""
        session = Session()
        session.mount("http://", self)
        return session


@dataclass(slots=True)
class Service:
    """A service named shop, `now` its time. `tell` is an instance's report, `pilot` who looks after it."""

    url: str
    keys: KeyClient
    now: float = 1_000_000.0
    line: Line = field(default_factory=Line)
    stable: int = 0
    canary: int = 0

    def new_pilot(self, numbers: Numbers | None = None) -> Pilot:
        """One that finds nobody leading."""
        self.line = Line()
        keys = KeyClient(self.url, new_session=self.line.session)
        return Pilot(keys, "shop/config", Webhooks(None, pause=0.01), numbers=numbers, clock=lambda: self.now)

    def tell(self, stable: int | None = None, canary: int | None = None) -> None:
        """So many more requests to each version; unless told, a hundred at the share of the document."""
        ratio = self.document()["ratio"] or 0.1
        asked = round(100 * ratio)
        self.stable += 100 - asked if stable is None else stable
        self.canary += asked if canary is None else canary
        seen = observed(ratio, outcomes(self.stable), outcomes(self.canary))
        put(self.keys, "shop/instances/a", reported() | {"observed": report.dump(seen)})

    def document(self) -> dict[str, Any]:
        return json.loads(self.keys.get("shop/config").raw)

    def ratios(self, since: int = 0) -> list[float]:
        """Of the documents after revision `since`, the oldest first."""
        history = [each for each in self.keys.history("shop/config", 50) if each["revision"] > since]
        return [
            json.loads(self.keys.get("shop/config", each["revision"]).raw)["ratio"]
            for each in reversed(history)
        ]

    def look(self, pilot: Pilot, times: int = 1, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.now += seconds
            pilot.look()


class Gappy(Reports):
    """What instances report, and `lacking`."""

    lacking: str | None = None

    def read(self, instances: Iterable[Instance], trial: Trial) -> Reading:
        return super().read(instances, trial)._replace(lacking=self.lacking)


@pytest.fixture
def service(url: str, keys: KeyClient) -> Service:
    put(keys, "shop/config", DOCUMENT)
    return Service(url, keys)


@contextmanager
def leading(service: Service, plan: Plan = PLAN, numbers: Numbers | None = None) -> Iterator[Pilot]:
    """A pilot whose rollout is in its first step, with its share in force."""
    pilot = service.new_pilot(numbers)
    try:
        service.tell(0, 0)
        pilot.look()
        pilot.begin(plan, "ann")
        service.look(pilot)
        assert service.document()["ratio"] == 0.1
        yield pilot
    finally:
        pilot.stop()
        service.line.close()


def shown(pilot: Pilot) -> dict[str, Any]:
    return state(pilot)["rollout"]


def entries(pilot: Pilot) -> list[tuple[str, str]]:
    return [(each["state"], each["reason"][:30]) for each in shown(pilot)["log"]]


def test_while_the_config_server_is_away_it_is_paused_and_then_goes_on(service: Service) -> None:
    with leading(service) as pilot:
        service.look(pilot, 3)
        held = shown(pilot)["held"]
        service.line.away = True
        service.look(pilot, 60)
        told = state(pilot)
        assert told["rollout"]["state"] == "paused"
        assert told["rollout"]["reason"].startswith("config server away since 1970-01-12 13:46:4")
        assert told["rollout"]["commands"] == []
        assert told["rollout"]["waits_for"]["what"] == "config_server"
        assert told["verdict"]["reason"].startswith("paused: config server away since")
        assert told["verdict"]["outcome"] == "inconclusive"
        service.line.away = False
        service.look(pilot)
        assert shown(pilot)["state"] == "running"
        assert shown(pilot)["held"] == held + 1
        assert entries(pilot)[-2:] == [
            ("paused", "config server away since 1970-"),
            ("running", "the config server is back: res"),
        ]
        service.look(pilot)
        assert shown(pilot)["held"] == held + 2
        assert len(entries(pilot)) == 3


def test_it_is_told_of_though_the_lead_was_lost_meanwhile(service: Service) -> None:
    with leading(service) as pilot:
        service.line.away = True
        service.look(pilot, 3)
        service.line.away = False
        service.keys.delete(pilot.lease.key)
        service.look(pilot)
        assert (pilot.view.leads, shown(pilot)["state"]) == (False, "paused")
        service.look(pilot)
        assert "config server away" in shown(pilot)["log"][-2]["reason"]


def test_a_persons_pause_lasts_though_the_config_server_comes_back(service: Service) -> None:
    with leading(service) as pilot:
        pilot.command(Command.PAUSE, "ann")
        service.line.away = True
        service.look(pilot, 3)
        assert shown(pilot)["reason"] == "paused by ann"
        with pytest.raises(ConfigServerError):
            pilot.command(Command.RESUME, "ann")
        service.line.away = False
        service.look(pilot, 3)
        assert (shown(pilot)["state"], shown(pilot)["reason"]) == ("paused", "paused by ann")


def test_what_another_pilot_did_meanwhile_was_no_pause(service: Service) -> None:
    with leading(service) as pilot:
        line = service.line
        line.away = True
        service.look(pilot, 3)
        service.keys.delete(pilot.lease.key)
        other = service.new_pilot()
        service.look(other, 7)
        service.keys.delete(other.lease.key)
        line.away = False
        service.look(pilot, 3)
        assert pilot.view.leads
        assert shown(pilot)["state"] == "running"
        assert len(entries(pilot)) == 1
        service.line.close()


def test_somebody_elses_change_pauses_it_with_the_reason(service: Service) -> None:
    with leading(service) as pilot:
        put(service.keys, "shop/config", service.document() | {"ratio": 0.3})
        service.look(pilot, 20)
        assert shown(pilot)["state"] == "paused"
        assert "changed by somebody else" in shown(pilot)["reason"]
        assert service.ratios() == [0, 0.1, 0.3]


def test_a_share_that_is_not_as_asked_holds_the_step_up(service: Service) -> None:
    with leading(service) as pilot:
        service.tell(500, 500)
        service.look(pilot, 20)
        told = state(pilot)
        assert told["rollout"]["step"] == 0
        assert told["rollout"]["waits_for"]["what"] == "share"
        assert told["verdict"]["share"]["alarm"] == "the canary gets 50.000% of the requests, not 10.000%"


def test_nothing_is_lost_or_done_twice_by_a_pilot_that_is_killed_at_any_write(service: Service) -> None:
    """At the first write, at the second, and so on, each time just before it and just after it."""
    for moment in range(1, 15):
        for after in (False, True):
            put(service.keys, "shop/config", DOCUMENT)
            before = service.keys.get("shop/config").revision
            finish(service, moment, after)
            assert service.ratios(before) == [0.1, 0.5, 0]
            service.keys.delete("shop/rollout")


def finish(service: Service, moment: int, after: bool) -> None:
    """A whole rollout, one of whose pilots is killed."""
    pilot = service.new_pilot()
    pilot.look()
    pilot.begin(PLAN, "ann")
    service.line.kill_at, service.line.kill_after = service.line.writes + moment, after
    while pilot.view.rollout is None or pilot.view.rollout.state != State.DONE:
        service.tell()
        try:
            service.look(pilot, seconds=5.0)
        except Killed:
            with suppress(ConfigMissing):
                service.keys.delete("shop/pilot")
            pilot = service.new_pilot()
    log = pilot.view.rollout.log
    assert [(entry.state, entry.step) for entry in log] == [
        ("running", 0),
        ("running", 1),
        ("promoting", 1),
        ("done", 1),
    ]
    pilot.stop()


def test_a_step_waits_for_whose_numbers_are_lacking_and_judges_by_the_others(service: Service) -> None:
    numbers = Gappy()
    with leading(service, numbers=numbers) as pilot:
        numbers.lacking = "nothing is known of b"
        for _ in range(15):
            service.tell()
            service.look(pilot)
        assert service.document()["ratio"] == 0.1
        assert state(pilot)["rollout"]["waits_for"] == {"what": "numbers", "why": "nothing is known of b"}
        assert pilot.view.verdict is not None
        assert pilot.view.verdict.canary.requests > 100
        assert (pilot.view.verdict.outcome, pilot.view.verdict.reason) == (INCONCLUSIVE, numbers.lacking)
        numbers.lacking = None
        service.look(pilot, 12)
        assert service.document()["ratio"] == 0.5
