"""What clients do wrong: each refusal is seen by the client, and nothing is left behind."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from dataclasses import replace

import gevent
import pytest
from gevent import socket

from app.proxy.exchange import Exchange
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import PERIOD, Rig
from tests.proxy.test_servers import error_of
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer, exchange

SLOW = {"client_head": 0.2, "body_rate": 1000.0}


def trickle(client: Peer, data: bytes, pause: float = 0.05) -> bytes:
    """Sends a byte now and then, and meanwhile reads to the end."""

    def send() -> None:
        for index in range(len(data)):
            client.send(data[index : index + 1])
            gevent.sleep(pause)

    sending = gevent.spawn(send)
    try:
        return client.rest()
    finally:
        sending.kill()


@pytest.fixture
def server():
    with RecordingServer() as running:
        yield running


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        (GET[:-2] + b"X: " + b"a" * 5000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"505"),
        (post(b"x", length=10_001), b"413"),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    ],
)
def test_a_refusal_is_seen_by_a_client_that_goes_on_sending(server, request_, status):
    limits = {"head_bytes": 4096, "target_bytes": 1000, "body_bytes": 10_000}
    with Rig("fast_lane", server.url, limits=limits) as rig, rig.client() as client:
        client.send(request_)
        head = client.head()
        client.send(b"x" * 1_000_000)
        client.socket.shutdown(socket.SHUT_WR)
        client.rest()
        rig.comes_to_rest(server.url)
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close\r\n" in head
    assert server.requests == []


def test_a_megabyte_of_head_is_refused(server):
    with Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET[:-2] + b"X: " + b"a" * 1_000_000)
        assert client.head().startswith(b"HTTP/1.1 431 ")


def test_a_client_that_never_stops_sending_is_left_alone_in_the_end(server):
    with Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(b"this is no HTTP\r\n")
        client.head()
        with pytest.raises(ConnectionError):
            client.send(b"x" * 100_000_000)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_large_is_refused(front, chunked):
    body = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    large = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body * 10
    with (
        Upstream(lambda peer: peer.rest()) as server,
        Rig(front, server.url, limits={"body_bytes": 9_000}) as rig,
    ):
        with rig.client() as client:
            client.send(large if chunked else post(b"x", length=10_000))
            assert client.head().startswith(b"HTTP/1.1 413 ")
        rig.comes_to_rest(server.url)


def test_a_refused_body_carries_the_requests_id(server):
    with Rig("fast_lane", server.url, limits={"body_bytes": 3}) as rig:
        assert error_of(exchange(rig.address, post(b"abcd"))) == (b"413", b"body_too_large")


@pytest.mark.parametrize("body", [b"3\r\nab", b"x\r\n", b"3\r\nabcd\r\n"])
def test_a_bad_chunked_body_is_a_400(front, body):
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with Upstream(lambda peer: peer.rest()) as server, Rig(front, server.url) as rig:
        assert exchange(rig.address, data, half_close=True).startswith(b"HTTP/1.1 400 ")
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {}


@pytest.mark.parametrize("length", [100, 1_000_000])
def test_a_body_cut_short_is_a_400(front, length):
    with Upstream(lambda peer: peer.rest()) as server, Rig(front, server.url) as rig:
        data = post(b"abc", length=length)
        assert exchange(rig.address, data, half_close=True).startswith(b"HTTP/1.1 400 ")
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {}


def test_a_head_cut_short_is_a_400(server):
    with Rig("fast_lane", server.url) as rig:
        assert exchange(rig.address, GET[:-1], half_close=True).startswith(b"HTTP/1.1 400 ")


def test_what_is_well_formed_before_a_fault_is_answered(server):
    with Rig("fast_lane", server.url) as rig:
        answer = exchange(rig.address, GET + b"this is no HTTP\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"okHTTP/1.1 400 " in answer
    assert len(server.requests) == 1


def test_a_slow_head_is_a_408(server):
    with Rig("fast_lane", server.url, timeouts=SLOW) as rig, rig.client() as client:
        assert trickle(client, GET + GET).startswith(b"HTTP/1.1 408 ")
        rig.comes_to_rest(server.url)


@pytest.mark.parametrize("length", [1000, 1_000_000])
def test_a_slow_body_is_a_408(server, length):
    with Rig("fast_lane", server.url, timeouts=SLOW) as rig, rig.client() as client:
        assert trickle(client, post(b"x" * 100, length=length)).startswith(b"HTTP/1.1 408 ")
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {}


@pytest.mark.parametrize("body_rate", [1000.0, None])
@pytest.mark.parametrize("asked", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_body_that_waits_to_be_asked_for_does_not_wait_for_ever(asked, body_rate):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(asked).rest()

    timeouts = SLOW | {"head": 0.2, "body_rate": body_rate}
    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts=timeouts) as rig,
        rig.client() as client,
    ):
        client.send(post(b"", b"Expect: 100-continue", length=100))
        assert client.rest().startswith(asked + b"HTTP/1.1 408 ")
        rig.comes_to_rest(server.url)


@pytest.mark.parametrize("length", [10, 100_000])
def test_without_a_least_rate_a_body_may_pause_for_longer_than_a_server(length):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.exactly(length)
        peer.send(OK).rest()

    timeouts = {"head": 0.2, "body_rate": None}
    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts=timeouts) as rig,
        rig.client() as client,
    ):
        client.send(post(b"", length=length))
        gevent.sleep(0.2 + 3 * PERIOD)
        assert client.send(bytes(length)).read_until(b"ok").startswith(b"HTTP/1.1 200 ")


def test_a_body_at_a_good_pace_has_all_the_time_it_needs(server):
    body = b"x" * 2000
    timeouts = {"client_head": 0.3, "body_rate": 500.0}
    with Rig("fast_lane", server.url, timeouts=timeouts) as rig, rig.client() as client:
        client.send(post(b"", length=len(body)))
        for index in range(0, len(body), 100):
            client.send(body[index : index + 100])
            gevent.sleep(0.05)
        assert client.head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("first", [b"", GET])
def test_an_idle_client_is_closed_without_a_word(server, first):
    timeouts = {"client_head": 0.2, "client_idle": 0.2}
    with Rig("fast_lane", server.url, timeouts=timeouts) as rig, rig.client() as client:
        client.send(first)
        assert client.rest() in (b"", OK)


def test_an_idle_client_costs_no_memory_for_what_it_had(server):
    with Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).read_until(b"ok")
        wait_until(lambda: all(lane.idle for lane in rig.gateway.lanes), what="idleness")
        gc.collect()
        pool = rig.load(server.url).pool
        assert not [each for each in gc.get_objects() if isinstance(each, Exchange) and each.pool is pool]


def test_a_client_that_takes_too_little_is_cut_off():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            peer.send(b"x" * 65536)

    timeouts = {"client_head": 0.1, "body_rate": 1e6}
    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts=timeouts) as rig,
        rig.client() as client,
    ):
        client.send(GET).head()
        rig.comes_to_rest(server.url)


def test_a_client_that_takes_no_interim_answers_is_cut_off():
    def serve(peer: Peer) -> None:
        peer.head()
        while True:
            peer.send(b"HTTP/1.1 103 Early Hints\r\nX: %b\r\n\r\n" % (b"x" * 10_000))

    timeouts = {"client_head": 0.1, "body_rate": 1e6}
    limits = {"head_bytes": 1 << 40}
    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts=timeouts, limits=limits) as rig,
        rig.client() as client,
    ):
        client.send(GET).head()
        rig.comes_to_rest(server.url)


def test_connections_have_a_limit(server):
    with Rig("fast_lane", server.url, limits={"connections": 2}) as rig, ExitStack() as stack:
        first, second, third = (stack.enter_context(rig.client()) for _ in range(3))
        wait_until(lambda: len(rig.gateway.lanes) == 3, what="all three accepted")
        assert third.head().startswith(b"HTTP/1.1 503 ")
        for client in (first, second):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")


def test_a_drained_front_ends_its_connections_with_an_answer(server):
    with Rig("fast_lane", server.url) as rig, rig.client() as idle, rig.client() as busy:
        idle.send(GET).head()
        idle.exactly(2)
        busy.send(GET[:20])
        wait_until(lambda: sum(not lane.idle for lane in rig.gateway.lanes) == 1, what="half a head read")
        rig.gateway.drain()
        assert idle.rest() == b""
        assert b"\r\nConnection: close\r\n" in busy.send(GET[20:]).rest()


def test_a_drained_front_serves_who_has_just_come(server):
    with Rig("fast_lane", server.url) as rig, rig.client() as client, rig.client() as silent:
        wait_until(lambda: len(rig.gateway.lanes) == 2, what="both accepted")
        rig.gateway.drain()
        assert b"\r\nConnection: close\r\n" in client.send(GET).rest()
        assert silent.rest() == b""


def test_a_drained_front_leaves_who_comes_to_the_others_that_listen(server):
    with Rig("fast_lane", server.url) as rig:
        rig.gateway.drain()
        with rig.client():
            wait_until(lambda: rig._server._watcher is None, what="the end of listening")
            assert not rig.gateway.lanes


def test_counts_what_it_refuses(server):
    with Rig("fast_lane", server.url) as rig:
        exchange(rig.address, b"this is no HTTP\r\n", half_close=True)
        exchange(rig.address, LAST_GET)
    assert rig.stats.refused == {"bad_request_line": 1}


def test_a_rule_that_changes_holds_for_field_lines_that_come_again():
    request = GET[:-2] + b"X_A: 1\r\n\r\n"
    with RecordingServer() as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        for _ in range(3):
            assert client.send(request).read_until(b"ok").startswith(b"HTTP/1.1 200 ")
        strict = replace(rig.config, underscored_headers="refuse")
        rig.gateway.snapshot = rig.fleet.snapshot(strict, rig.gateway.snapshot)
        assert client.send(request).head().startswith(b"HTTP/1.1 400 ")
