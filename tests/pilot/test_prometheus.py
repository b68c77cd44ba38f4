from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import pytest

from app.errors import NumbersAway
from app.pilot.instances import Instance
from app.pilot.prometheus import Prometheus
from app.rollout.intake import Intake
from tests.pilot.prometheus import Scripted, samples, scripted, vector
from tests.support.processes import free_port, wait_until


@dataclass(slots=True)
class Time:
    now: float = 0.0


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def source(server: Scripted, time: Time) -> Iterator[Prometheus]:
    made = Prometheus(
        server.url, 'job="serin"', "a-token", patience=10.0, period=0.01, clock=lambda: time.now
    )
    yield made
    made.stop()


def instance(identity: str, *, draining: bool = False) -> Instance:
    return Instance(identity, f"web:{identity}", None, None, 0.0, None, draining, {})


TRIAL = ("2026-11-26-7f3a", 1)
A, B = instance("a"), instance("b")


def requests(source: Prometheus, *instances: Instance) -> dict[str, int]:
    return {
        name: seen.strata[0].canary.requests for name, seen in source.read(instances, TRIAL).observed.items()
    }


def scrape(server: Scripted, source: Prometheus, at: float, **requests: int) -> None:
    """An answer with figures made at that time, of so many requests by instance."""
    server.body = vector(
        [each for name, count in requests.items() for each in samples(name, at=at, requests=count)]
    )
    source.ask()


def readable(source: Prometheus) -> bool:
    with suppress(NumbersAway):
        return bool(source.read([A], TRIAL).observed)
    return False


def test_all_is_asked_in_one_query(server: Scripted, source: Prometheus) -> None:
    source.ask()
    (asked,) = server.asked
    assert asked.path == "/api/v1/query"
    assert asked.args["query"] == '{__name__=~"serin_observed_.+", job="serin"}'
    assert asked.headers["Authorization"] == "Bearer a-token"


def test_the_figures_of_those_who_live_are_read(server: Scripted, source: Prometheus) -> None:
    for at in (1.0, 2.0):
        scrape(server, source, at, a=5, b=7, other=9)
    assert requests(source, A, B) == {"a": 5, "b": 7}
    assert source.read([A, B], TRIAL).lacking is None


def test_an_instance_that_is_not_scraped_is_told_and_the_others_count(
    server: Scripted, source: Prometheus
) -> None:
    for at in (1.0, 2.0):
        scrape(server, source, at, a=5)
    reading = source.read([A, B], TRIAL)
    assert reading.observed.keys() == {"a"}
    assert reading.lacking == "Prometheus has no fresh figures of web:b"
    assert source.read([A, instance("b", draining=True)], TRIAL).lacking is None
    many = source.read([A, *(instance(name) for name in "cdefg")], TRIAL).lacking
    assert many == "Prometheus has no fresh figures of web:c, web:d, web:e and 2 others"


def test_figures_of_before_a_trial_are_not_of_it(server: Scripted, source: Prometheus, time: Time) -> None:
    for at in (1.0, 2.0):
        scrape(server, source, at, a=5)
    assert source.read([A], TRIAL).lacking is None
    time.now, other = 2.0, (TRIAL[0], 2)
    for _ in range(2):
        source.ask()
        reading = source.read([A], other)
        assert (reading.observed, reading.lacking) == ({}, "Prometheus has no fresh figures of web:a")
    scrape(server, source, 3.0, a=6)
    assert source.read([A], other).observed.keys() == {"a"}
    assert source.read([A], other).lacking is None


def test_figures_that_never_changed_may_be_of_any_age(server: Scripted, source: Prometheus) -> None:
    scrape(server, source, 1.0, a=5)
    assert source.read([A], TRIAL) == ({}, "Prometheus has no fresh figures of web:a")


def test_figures_that_do_not_change_any_more_are_stale(
    server: Scripted, source: Prometheus, time: Time
) -> None:
    scrape(server, source, 1.0, a=5)
    for time.now in (0.0, 9.0):
        scrape(server, source, 2.0, a=5)
        assert source.read([A], TRIAL).lacking is None
    time.now = 11.0
    scrape(server, source, 2.0, a=5)
    assert source.read([A], TRIAL).lacking == "Prometheus has no fresh figures of web:a"
    scrape(server, source, 3.0, a=5)
    assert source.read([A], TRIAL).lacking is None


def test_older_figures_are_not_taken(server: Scripted, source: Prometheus) -> None:
    scrape(server, source, 1.0, a=5)
    for at, had in ((3.0, 20), (2.0, 10)):
        scrape(server, source, at, a=had)
        assert requests(source, A) == {"a": 20}


def test_an_instance_that_starts_again_is_another_one(server: Scripted, source: Prometheus) -> None:
    intake, taken = Intake(), []
    for at, (identity, had) in enumerate((("a", 98), ("a", 100), ("b", 3), ("b", 5), ("b", 6))):
        scrape(server, source, float(at), **{identity: had})
        arrivals = intake.take(source.read([instance(identity)], TRIAL).observed)
        taken += [stratum.canary.requests for stratum in arrivals.strata]
    assert taken == [1]


def test_what_an_instance_had_is_known_though_a_scrape_fails(server: Scripted, source: Prometheus) -> None:
    for at in (1.0, 2.0):
        scrape(server, source, at, a=5, b=5)
    scrape(server, source, 3.0, b=5)
    assert requests(source, A, B)["a"] == 5


def test_visitors_who_stick_cannot_be_told_apart(server: Scripted, source: Prometheus) -> None:
    server.body = vector(samples("a") + samples("b", sticky=1))
    source.ask()
    with pytest.raises(NumbersAway, match="visitors stick"):
        source.read([A, B], TRIAL)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, vector([]), "no figures of any instance"),
        (
            400,
            b'{"status": "error", "errorType": "bad_data", "error": "parse error"}',
            "refuses: parse error",
        ),
        (200, b"hello", "cannot be read"),
        (401, b"who are you?", "Prometheus answered 401"),
        (302, b"", "Prometheus answered 302"),
    ],
)
def test_why_there_are_no_figures_is_told(
    server: Scripted, source: Prometheus, status: int, body: bytes, why: str
) -> None:
    server.status, server.body = status, body
    source.ask()
    with pytest.raises(NumbersAway, match=why):
        source.read([A], TRIAL)


def test_before_the_first_answer_there_are_no_figures(source: Prometheus) -> None:
    with pytest.raises(NumbersAway, match="not answered yet"):
        source.read([A], TRIAL)


def test_one_that_is_away_is_told_without_its_address() -> None:
    source = Prometheus(f"http://127.0.0.1:{free_port()}")
    source.ask()
    with pytest.raises(NumbersAway) as caught:
        source.read([A], TRIAL)
    assert str(caught.value) == "Prometheus cannot be reached, or broke off"


def test_it_is_asked_again_and_again(server: Scripted, source: Prometheus) -> None:
    server.status = 500
    source.start()
    wait_until(lambda: len(server.asked) >= 2)
    server.status, at = 200, count()

    def newer() -> bool:
        server.body = vector(samples("a", at=next(at)))
        return readable(source)

    wait_until(newer)


@pytest.mark.parametrize("url", ["localhost:9090", "http://", "ftp://here", "http://here?x=1", "http://a b"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Prometheus(url)


def test_it_may_live_below_a_path(server: Scripted) -> None:
    Prometheus(f"{server.url}/monitoring/").ask()
    assert server.asked[0].path == "/monitoring/api/v1/query"
