"""Servers that are taken out while they serve: what they have is finished, and nothing new comes. Both fronts."""

from __future__ import annotations

from dataclasses import replace

import gevent
import pytest
from gevent.event import Event

from app.config.model import Config, ServerConfig, VersionConfig
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer, exchange


def apply(rig: Rig, config: Config) -> None:
    """As the service does with a new config."""
    rig.gateway.snapshot = rig.fleet.snapshot(config, rig.gateway.snapshot)
    rig.fleet.retire(config)
    rig.health.adopt(config, rig.fleet.loads)


def without(config: Config, url: str, *, drain: bool) -> Config:
    """The server drains, or is not named any more."""
    servers = [replace(each, drain=each.url == url) for each in config.stable.servers]
    kept = tuple(each for each in servers if drain or not each.drain)
    return replace(config, stable=replace(config.stable, servers=kept))


@pytest.mark.parametrize("drain", [True, False])
def test_what_is_under_way_is_finished_and_nothing_new_comes(front, drain):
    go_on, busy = Event(), Event()

    def slow(peer: Peer) -> None:
        while peer.head():
            seen.append(1)
            busy.set()
            go_on.wait(20)
            peer.send(OK)

    seen: list[int] = []
    with Upstream(slow) as old, RecordingServer() as new, Rig(front, old.url) as rig:
        under_way = gevent.spawn(exchange, rig.address, LAST_GET)
        busy.wait(10)
        both = replace(rig.config, stable=VersionConfig((ServerConfig(old.url), ServerConfig(new.url))))
        apply(rig, without(both, old.url, drain=drain))
        for _ in range(5):
            assert exchange(rig.address, LAST_GET).endswith(b"ok")
        go_on.set()
        assert under_way.get(timeout=10).endswith(b"ok")
        assert (len(seen), len(new.requests)) == (1, 5)


def test_visitors_of_a_server_that_drains_move_and_come_back(front):
    with (
        RecordingServer() as one,
        RecordingServer() as two,
        Rig(front, one.url, two.url, sticky_sessions=True) as rig,
    ):
        visitors = [b"%032x" % number for number in range(20)]
        before = [home(rig, one, two, visitor) for visitor in visitors]
        assert set(before) == {one, two}
        apply(rig, without(rig.config, one.url, drain=True))
        assert {home(rig, one, two, visitor) for visitor in visitors} == {two}
        apply(rig, rig.config)
        assert [home(rig, one, two, visitor) for visitor in visitors] == before


def home(rig: Rig, one: RecordingServer, two: RecordingServer, visitor: bytes) -> RecordingServer:
    """Who has the visitor's request."""
    count = len(one.requests)
    exchange(rig.address, LAST_GET[:-2] + b"Cookie: serin=%b\r\n\r\n" % visitor)
    return one if len(one.requests) > count else two


def test_servers_that_come_and_go_lose_no_request():
    """Five hundred changes while eight clients ask; each connection may find its server gone between two requests."""
    with RecordingServer() as one, RecordingServer() as two, Rig("fast_lane", one.url, two.url) as rig:
        enough = Event()

        def visit() -> int:
            served = 0
            with rig.client() as client:
                while not enough.is_set():
                    assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
                    assert client.exactly(2) == b"ok"
                    served += 1
            return served

        visitors = [gevent.spawn(visit) for _ in range(8)]
        for number in range(500):
            gone = (one, two)[number % 2].url
            apply(rig, without(rig.config, gone, drain=number % 4 > 1) if number % 3 else rig.config)
            gevent.sleep(0.001)
        enough.set()
        gevent.joinall(visitors, timeout=20, raise_error=True)
        assert sum(visitor.value for visitor in visitors) > 500
        apply(rig, rig.config)
        wait_until(lambda: all(load.in_flight == 0 for load in rig.fleet.loads.values()), what="rest")
        assert (rig.stats.refused, rig.stats.versions["stable"].failures) == ({}, {})
