"""How many requests may be under way at one time, who waits, and who is sent away. Both fronts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from app.config.model import Limits
from app.proxy.admission import Admission
from app.proxy.fleet import Snapshot
from app.proxy.gateway import Client
from app.wire.head import parse_request
from tests.balance.helpers import balancer, config
from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.test_servers import error_of
from tests.support.processes import wait_until
from tests.support.raw import OK

ONE = {"per_server": 1, "queue_time": 10.0}


class Gate:
    """A server that keeps each request until it is let go. `most`: so many it has had at one time."""

    def __init__(self) -> None:
        self.inside = self.most = self.served = 0
        self.opened = Event()

    def __call__(self, peer: Peer) -> None:
        while peer.head():
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.opened.wait(20)
            self.inside -= 1
            self.served += 1
            peer.send(OK)


@contextmanager
def gated(front: str, servers: int = 1, **config: Any) -> Iterator[tuple[Rig, Gate, list[str]]]:
    """Servers behind one gate."""
    from contextlib import ExitStack

    gate = Gate()
    with ExitStack() as stack:
        urls = [stack.enter_context(Upstream(gate)).url for _ in range(servers)]
        yield stack.enter_context(Rig(front, *urls, **config)), gate, urls
        gate.opened.set()


class Visit:
    """A request that is under way."""

    def __init__(self, rig: Rig) -> None:
        self.client = rig.client()
        self.client.send(GET)

    def answer(self) -> bytes:
        with self.client as client:
            head = client.head()
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            return head + client.exactly(length)


def visits(rig: Rig, count: int) -> list[Visit]:
    return [Visit(rig) for _ in range(count)]


def test_a_server_has_no_more_at_one_time_than_it_may(front):
    with gated(front, limits={"per_server": 2, "queue_time": 10.0}) as (rig, gate, _):
        some = visits(rig, 6)
        wait_until(lambda: gate.inside == 2 and rig.gateway.admission.waiting == 4, what="two inside")
        gate.opened.set()
        assert all(visit.answer().startswith(b"HTTP/1.1 200 ") for visit in some)
        assert (gate.most, gate.served) == (2, 6)


def test_a_full_server_is_passed_over(front):
    with gated(front, servers=3, limits=ONE) as (rig, gate, urls):
        some = visits(rig, 3)
        wait_until(lambda: gate.inside == 3, what="all inside")
        assert [rig.load(url).in_flight for url in urls] == [1, 1, 1]
        gate.opened.set()
        assert all(visit.answer().startswith(b"HTTP/1.1 200 ") for visit in some)


def test_all_servers_together_have_a_limit(front):
    with gated(front, servers=3, limits={"requests": 2, "queue_time": 10.0}) as (rig, gate, _):
        some = visits(rig, 5)
        wait_until(lambda: gate.inside == 2 and rig.gateway.admission.waiting == 3, what="two inside")
        gate.opened.set()
        assert all(visit.answer().startswith(b"HTTP/1.1 200 ") for visit in some)
        assert gate.most == 2


def test_a_queue_that_is_full_sends_away_at_once(front):
    with gated(front, limits={**ONE, "queue": 2}) as (rig, gate, _):
        some = visits(rig, 3)
        wait_until(lambda: rig.gateway.admission.waiting == 2, what="two in the queue")
        refused = Visit(rig).answer()
        assert error_of(refused) == (b"503", b"queue_full")
        assert b"\r\nRetry-After: 1\r\n" in refused
        gate.opened.set()
        assert all(visit.answer().startswith(b"HTTP/1.1 200 ") for visit in some)
        assert rig.stats.refused == {"queue_full": 1}


def test_nobody_waits_longer_than_the_limit(front):
    with gated(front, limits={"per_server": 1, "queue_time": 0.1}) as (rig, gate, urls):
        first, second = visits(rig, 1), Visit(rig)
        assert error_of(second.answer()) == (b"503", b"queue_timeout")
        assert rig.gateway.admission.waiting == 0
        gate.opened.set()
        assert first[0].answer().startswith(b"HTTP/1.1 200 ")
        rig.comes_to_rest(urls[0])
        assert Visit(rig).answer().startswith(b"HTTP/1.1 200 ")


def test_who_has_waited_longest_is_next():
    with gated("fast_lane", limits=ONE) as (rig, gate, _):
        some = visits(rig, 1)
        for number in range(4):
            wait_until(lambda number=number: rig.gateway.admission.waiting == number, what="in order")
            some += visits(rig, 1)
        order: list[int] = []

        def take(number: int) -> None:
            some[number].answer()
            order.append(number)

        takers = [gevent.spawn(take, number) for number in range(5)]
        gate.opened.set()
        gevent.joinall(takers, timeout=10)
        assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("leave", [Peer.reset, Peer.__exit__])
def test_who_leaves_the_queue_takes_no_place(leave):
    with gated("fast_lane", limits=ONE) as (rig, gate, urls):
        some = visits(rig, 3)
        wait_until(lambda: rig.gateway.admission.waiting == 2, what="two in the queue")
        leave(some[1].client)
        wait_until(lambda: rig.gateway.admission.waiting == 1, what="one gone")
        gate.opened.set()
        assert some[0].answer() == some[2].answer()
        rig.comes_to_rest(urls[0])
        assert gate.served == 2
        assert rig.stats.refused == {}


def test_who_leaves_when_a_place_has_just_become_free_hands_it_on():
    of = config((1,), (), limits=Limits(per_server=1))
    snapshot = Snapshot(of, balancer(of))
    admission, request = Admission(lambda: snapshot), parse_request(GET, 1000, 1000, 10)
    choice = snapshot.balancer.choose(request)
    load, clients = choice.server.load, [Client(b"c", False, b"", lambda _response: None) for _ in range(2)]
    load.in_flight = 1

    def wait(client: Client) -> object:
        try:
            return admission.admit(choice, request, client)
        except ConnectionResetError as left:  # as a value: gevent prints what a greenlet raises
            return left

    waiting = [gevent.spawn(wait, client) for client in clients]
    wait_until(lambda: admission.waiting == 2, what="both in the queue")
    load.in_flight = 0
    load.on_free(load)
    clients[0].exchange.leave(ConnectionResetError())
    gevent.joinall(waiting, timeout=10)
    assert isinstance(waiting[0].value, ConnectionResetError)
    assert waiting[1].value is choice
    assert (load.in_flight, admission.waiting) == (0, 0)


def test_who_only_says_that_no_more_comes_keeps_its_place():
    with gated("fast_lane", limits=ONE) as (rig, gate, _):
        some = visits(rig, 2)
        wait_until(lambda: rig.gateway.admission.waiting == 1, what="one in the queue")
        some[1].client.socket.shutdown(socket.SHUT_WR)
        assert some[1].client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"  # by which it is found out
        gate.opened.set()
        assert some[1].answer().startswith(b"HTTP/1.1 200 ")
        some[0].answer()


def test_a_new_limit_lets_in_who_waits(front):
    with gated(front, limits=ONE) as (rig, gate, _):
        some = visits(rig, 3)
        wait_until(lambda: rig.gateway.admission.waiting == 2, what="two in the queue")
        config = replace(rig.config, limits=Limits(per_server=3))
        rig.gateway.snapshot = rig.fleet.snapshot(config, rig.gateway.snapshot)
        rig.gateway.admission.recheck()
        wait_until(lambda: gate.inside == 3, what="all inside")
        gate.opened.set()
        assert all(visit.answer().startswith(b"HTTP/1.1 200 ") for visit in some)


@pytest.mark.parametrize("sticky", [True, False])
def test_under_a_crowd_nothing_is_lost_and_no_limit_is_passed(front, sticky):
    gate = Gate()
    gate.opened.set()
    limits = {"per_server": 3, "requests": 5, "queue_time": 10.0}
    with (
        Upstream(gate) as one,
        Upstream(gate) as two,
        Rig(front, one.url, two.url, limits=limits, sticky_sessions=sticky) as rig,
    ):

        def visitor() -> None:
            for _ in range(10):
                assert Visit(rig).answer().startswith(b"HTTP/1.1 200 ")
                assert sum(load.in_flight for load in rig.fleet.loads.values()) <= 5
                assert all(load.in_flight <= 3 for load in rig.fleet.loads.values())

        crowd = [gevent.spawn(visitor) for _ in range(30)]
        gevent.joinall(crowd, timeout=30, raise_error=True)
        assert gate.served == 300
        assert gate.most <= 5
        assert rig.gateway.admission.waiting == 0
        assert all(load.in_flight == 0 for load in rig.fleet.loads.values())
