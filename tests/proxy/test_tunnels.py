"""After a 101: bytes both ways, half-close, an idle limit of its own, and an end when the process goes."""

from __future__ import annotations

import hashlib
import os

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import OK

ASK = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def echo(peer: Peer) -> None:
    peer.head()
    peer.send(SWITCH)
    while data := peer.some():
        peer.send(data)


def test_bytes_go_both_ways_whatever_they_are():
    with Upstream(echo) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        assert client.send(ASK).head() == SWITCH.replace(
            b"Upgrade: websocket\r\nConnection: Upgrade", b"Connection: Upgrade\r\nUpgrade: websocket"
        )
        data = os.urandom(3_000_000)
        sending = gevent.spawn(client.send, data)
        assert hashlib.sha256(client.exactly(len(data))).digest() == hashlib.sha256(data).digest()
        sending.get()
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""
        rig.comes_to_rest(server.url)


def test_what_is_said_early_is_not_lost():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH + b"hello").read_until(b"early")

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(ASK + b"early").head()
        assert client.rest() == b"hello"


def test_a_side_that_has_ended_may_still_listen():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH)
        assert peer.rest() == b"question"
        peer.send(b"answer")

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(ASK).head()
        client.send(b"question").socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b"answer"


def test_a_server_that_has_ended_may_still_listen():
    heard = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH + b"bye").socket.shutdown(socket.SHUT_WR)
        assert peer.rest() == b"answer"
        heard.set()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(ASK).head()
        assert client.rest() == b"bye"
        client.send(b"answer").socket.close()
        assert heard.wait(10)
        rig.comes_to_rest(server.url)


@pytest.mark.parametrize("leave", [Peer.reset, lambda client: client.socket.close()], ids=["reset", "close"])
def test_a_client_that_leaves_takes_the_server_with_it(leave):
    left = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(SWITCH)
        try:
            peer.rest()
        finally:
            left.set()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig:
        client = rig.client().send(ASK)
        client.head()
        leave(client)
        assert left.wait(10)
        rig.comes_to_rest(server.url)


def test_silence_ends_it_by_a_limit_of_its_own():
    limits = {"tunnel_idle": 0.1, "client_idle": 60.0, "upstream_idle": 60.0, "head": 60.0}
    with (
        Upstream(echo) as server,
        Rig("fast_lane", server.url, timeouts=limits) as rig,
        rig.client() as client,
    ):
        client.send(ASK).head()
        assert client.rest() == b""
        rig.comes_to_rest(server.url)


def test_no_limit_of_a_request_holds_in_it():
    limits = {"request": 0.1, "upstream_idle": 0.1, "head": 0.1, "client_idle": 0.1, "client_head": 0.1}
    with (
        Upstream(echo) as server,
        Rig("fast_lane", server.url, timeouts=limits) as rig,
        rig.client() as client,
    ):
        client.send(ASK).head()
        later = rig.clock.now + 1.0
        wait_until(lambda: rig.clock.now > later, what="all the limits gone by")
        assert client.send(b"still here").exactly(10) == b"still here"


def test_it_ends_when_the_process_goes():
    with Upstream(echo) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(ASK).head()
        assert client.send(b"x").exactly(1) == b"x"
        rig.gateway.drain()
        assert client.rest() == b""
        rig.comes_to_rest(server.url)


def test_a_server_that_does_not_switch_answers_like_any_other():
    with (
        Upstream(lambda peer: peer.head() and peer.send(OK).head() and peer.send(OK)) as server,
        Rig("fast_lane", server.url) as rig,
        rig.client() as client,
    ):
        for request in (ASK, GET):
            assert client.send(request).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
        assert server.connections == 1


UNASKED = {
    "not asked": (GET, SWITCH),
    "asked for another": (ASK.replace(b"websocket", b"other"), SWITCH),
    "does not say to what": (ASK, SWITCH.replace(b"Upgrade: websocket\r\n", b"")),
    "HTTP/2": (ASK.replace(b"websocket", b"h2c"), SWITCH.replace(b"websocket", b"h2c")),
}


@pytest.mark.parametrize(("request_", "answer"), UNASKED.values(), ids=UNASKED)
def test_a_switch_to_what_was_not_offered_is_no_answer(request_, answer):
    with (
        Upstream(lambda peer: peer.head() and peer.send(answer).rest()) as server,
        Rig("fast_lane", server.url) as rig,
        rig.client() as client,
    ):
        assert client.send(request_).head().startswith(b"HTTP/1.1 502 ")
        client.read_until(b"(unasked_upgrade)")
        client.socket.close()
        rig.comes_to_rest(server.url)
