"""What the verdict is told of requests that end in unusual ways: each once, as of the ratio and version that had it.

Both fronts, where they come to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from gevent.event import Event

from app.admin.observer import Observer
from app.config.model import RescueConfig
from app.rollout.observed import Diverted, Outcomes, Stratum
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.test_departures import STREAM, Thinking
from tests.proxy.test_large_bodies import no_descriptors_left
from tests.proxy.test_tries import answer
from tests.support.processes import wait_until
from tests.support.raw import RecordingServer, exchange

NONE = Outcomes()
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc"


@contextmanager
def tried(front: str, serve: Callable[[Peer], object], **config: Any) -> Iterator[tuple[Rig, str]]:
    """A canary that gets everything, and its URL; stable is well."""
    with (
        RecordingServer(answer(200, b"well")) as well,
        Upstream(serve) as server,
        Rig(front, well.url, canary=[server.url], **{"ratio": 1.0, **config}) as rig,
    ):
        yield rig, server.url


def strata(rig: Rig) -> tuple[Stratum, ...]:
    return Observer(rig.stats.books).observed().strata


def canary(rig: Rig) -> Outcomes:
    (stratum,) = strata(rig)
    assert stratum.stable == NONE
    return stratum.canary


def ends(rig: Rig, url: str) -> None:
    wait_until(lambda: rig.load(url).in_flight == 0, what="its end")


def change(rig: Rig, **config: object) -> None:
    """As if the config server had told of it."""
    rig.config = replace(rig.config, **config)
    rig.gateway.snapshot = rig.fleet.snapshot(rig.config, rig.gateway.snapshot)


class Waiting:
    """A server that answers with this status when it may `go_on`."""

    def __init__(self, status: int) -> None:
        self.begun, self.go_on = Event(), Event()
        self._answer = answer(status, b"ok")

    def __call__(self, peer: Peer) -> None:
        peer.head()
        self.begun.set()
        assert self.go_on.wait(10)
        peer.send(self._answer)


@pytest.mark.parametrize(("status", "failures"), [(200, {}), (404, {}), (503, {"5xx": 1})])
def test_a_request_under_way_counts_for_the_ratio_that_sent_it(front, status, failures):
    wait = Waiting(status)
    with tried(front, wait) as (rig, url), rig.client() as client:
        client.send(LAST_GET)
        assert wait.begun.wait(10)
        change(rig, ratio=0.5)
        change(rig, ratio=0.0)
        wait.go_on.set()
        client.rest()
        ends(rig, url)
        assert {each.ratio: each.canary for each in strata(rig)} == {
            1.0: Outcomes(1, 0, failures),
            0.5: NONE,
            0.0: NONE,
        }


LEFT = {"nothing": (b"", Outcomes(0, 1)), "a chunk": (STREAM + b"2\r\nok\r\n", Outcomes(1, 0))}


@pytest.mark.parametrize(("first", "told"), LEFT.values(), ids=LEFT)
def test_a_client_that_breaks_off_is_counted_once_and_is_no_failure(first, told):
    think = Thinking(first)
    with tried("fast_lane", think) as (rig, url):
        client = rig.client().send(GET)
        assert think.begun.wait(10)
        if first:
            client.read_until(b"ok")
        client.reset()
        ends(rig, url)
        assert canary(rig) == told


def test_nor_is_one_that_breaks_off_within_its_own_body(front):
    think = Thinking()
    with tried(front, think) as (rig, url):
        client = rig.client().send(POST)
        assert think.begun.wait(10)
        client.reset()
        ends(rig, url)
        assert canary(rig) == Outcomes(0, 1)


def test_a_client_that_breaks_off_while_stable_helps_out_does_not_hide_the_canarys_failure():
    think = Thinking()
    with (
        Upstream(think) as helper,
        RecordingServer(answer(503, b"bad")) as bad,
        Rig("fast_lane", helper.url, canary=[bad.url], ratio=1.0) as rig,
    ):
        client = rig.client().send(GET)
        assert think.begun.wait(10)
        client.reset()
        ends(rig, helper.url)
        assert canary(rig) == Outcomes(1, 0, {"5xx": 1})


@pytest.mark.parametrize("status", [b"200", b"500"])
def test_a_server_that_breaks_off_has_failed_once(front, status):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(STREAM.replace(b"200", status) + b"9\r\nok")

    with tried(front, serve, shield="off") as (rig, url), rig.client() as client:
        client.send(GET)
        wait_until(lambda: rig.stats.versions["canary"].failures, what="the failure")
        ends(rig, url)
        assert canary(rig) == Outcomes(1, 0, {"truncated": 1})


def test_who_is_sent_to_where_a_file_is_has_not_been_sent_by_the_ratio(front):
    with tried(front, lambda peer: peer.send(answer(404, b"")), rescue=RescueConfig()) as (rig, _):
        for _ in range(3):
            got = exchange(rig.address, LAST_GET.replace(b" / ", b" /app.1.js "))
            assert got.endswith(b"well")
        assert rig.stats.choices["rescue"] == 2
        assert canary(rig) == Outcomes(1)


def test_a_lack_of_sockets_of_ours_is_no_failure_of_the_canary():
    with tried("fast_lane", Peer.rest, shield="off") as (rig, _), rig.client() as client:
        wait_until(lambda: rig.gateway.lanes, what="the connection")
        with no_descriptors_left():
            client.send(GET)
            wait_until(
                lambda: rig.stats.versions["canary"].failures == {"out_of_sockets": 1}, what="the lack"
            )
        assert canary(rig) == NONE


def test_what_the_other_version_gets_while_one_is_out_is_diverted(front):
    with tried(front, Peer.rest) as (rig, url):
        rig.load(url).down = True
        rig.gateway.refresh()
        assert exchange(rig.address, LAST_GET).endswith(b"well")
        assert strata(rig) == (Stratum(1.0, diverted=Diverted(1, 0)),)
