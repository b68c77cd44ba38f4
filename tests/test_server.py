"""The front's listener, and what its connections have from it."""

from __future__ import annotations

import _socket
import resource
from contextlib import closing

import gevent
import pytest
from gevent import socket

from app.server import NO_DESCRIPTOR_PAUSE, UNSENT
from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import RecordingServer


def test_the_kernel_takes_little_of_an_answer_that_nobody_reads():
    with RecordingServer() as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).read_until(b"ok")
        (lane,) = rig.gateway.lanes
        assert lane.stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT


def test_a_client_who_takes_too_little_is_reset():
    """A clean close would leave what it was sent with the kernel, for as long as it likes."""

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + bytes(10_000_000))

    limits = {"client_head": 0.2, "body_rate": 1_000_000.0}
    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts=limits) as rig,
        socket.socket() as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(rig.address)
        client = Peer(sock).send(GET)
        wait_until(lambda: rig.gateway.lanes, what="its arrival")
        wait_until(lambda: not rig.gateway.lanes, what="its end")
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_listener_for_both_families_calls_a_client_by_its_usual_name():
    with RecordingServer() as server, Rig("fast_lane", server.url, host="::") as rig, rig.client() as client:
        client.send(GET).read_until(b"ok")
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in server.requests[0]


def test_who_comes_when_no_descriptor_is_left_waits(caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url) as rig,
        closing(_socket.socket()) as sock,
    ):
        sock.connect(rig.address)  # the kernel's doing: the hub has no turn
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            wait_until(lambda: caplog.records, what="a word of it in the log")
            gevent.sleep(3 * NO_DESCRIPTOR_PAUSE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with Peer(socket.socket(fileno=sock.detach())) as client:
            assert client.send(GET).read_until(b"ok").startswith(b"HTTP/1.1 200 ")
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be accepted: Too many open files"
    ]


def test_some_descriptors_are_not_for_clients():
    with RecordingServer() as server, Rig("fast_lane", server.url) as rig, rig.client() as first:
        rig._server.room = 1
        assert first.send(GET).read_until(b"ok").startswith(b"HTTP/1.1 200 ")
        with rig.client() as second:
            assert second.head().startswith(b"HTTP/1.1 503 ")
            second.read_until(b"(too_many_connections)")
