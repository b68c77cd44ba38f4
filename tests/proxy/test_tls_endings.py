"""How connections over TLS end: what was cut never passes for whole, and nobody is cut for nothing."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig
from tests.proxy.secure_peer import BIG, BLOCK, SecureUpstream, digests, secured, trusting
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer, exchange
from tests.support.tls import TlsSocket, client_context

UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_client_of_http_1_0_sees_a_clean_end(certificate):
    with (
        Upstream(lambda peer: peer.head() and peer.send(UNTIL_CLOSE + BIG)) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\n\r\n").head()
        assert client.rest() == BIG


def test_a_drain_ends_idle_connections_cleanly(certificate):
    with (
        RecordingServer() as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(GET).head()
        client.exactly(2)
        rig.gateway.drain()
        assert client.rest() == b""


def test_a_drain_does_not_wait_for_connections_without_a_word(certificate):
    with Rig("fast_lane", tls=certificate) as rig, rig.client() as client:
        wait_until(lambda: rig.gateway.lanes, what="the connection")
        rig.gateway.drain()
        assert client.rest() == b""


def test_a_drain_lets_a_handshake_under_way_become_a_request(certificate):
    with RecordingServer() as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        sock, hello = rig.client().socket, Event()

        class Slow(TlsSocket):
            """Waits between its hello and what follows."""

            def _flush(self) -> None:
                super()._flush()
                if not hello.is_set():
                    hello.set()
                    wait_until(
                        lambda: any(not lane.idle for lane in rig.gateway.lanes), what="the hello taken"
                    )
                    rig.gateway.drain()

        with Peer(Slow(sock, client_context())) as client:
            assert client.send(GET).rest().endswith(b"\r\n\r\nok")


def test_an_upload_cut_without_a_close_notify_is_not_taken_for_whole(certificate):
    """Not even when the body's length is not told: any attacker on the way can end a connection."""
    with RecordingServer() as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        with secured(rig) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            wait_until(lambda: server.connections, what="the request at the server")
        rig.comes_to_rest(server.url)
        wait_until(lambda: server.leftovers, what="what the server got")
    assert server.requests == []
    assert rig.stats.versions["stable"].aborts == 1


def test_a_client_that_says_good_bye_early_gets_its_answer(certificate):
    asked = Event()

    def answer(_request: bytes) -> bytes:
        asked.set()
        gevent.sleep(0.1)
        return OK

    with (
        RecordingServer(answer) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(GET)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest().endswith(b"\r\n\r\nok")


def test_a_client_that_is_gone_frees_the_server(certificate):
    with Upstream(lambda peer: peer.rest()) as server, Rig("fast_lane", server.url, tls=certificate) as rig:
        with secured(rig) as client:
            client.send(GET)
            wait_until(lambda: server.connections, what="the request at the server")
        rig.comes_to_rest(server.url)


def test_a_cut_answer_is_no_clean_end(certificate):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(b"GET / HTTP/1.0\r\n\r\n").head()
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_body_until_close_ends_with_a_close_notify(ca):
    serve = SecureUpstream(lambda peer: peer.head() and peer.send(UNTIL_CLOSE + BLOCK))
    with serve as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n").endswith(BLOCK)


def test_a_body_until_close_without_one_is_cut(ca):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(UNTIL_CLOSE + BLOCK)
        peer.socket.close()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        client.send(GET)
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {"reset": 1}


@pytest.mark.parametrize("clean", [True, False])
def test_a_server_that_closes_idle_connections_costs_no_client_an_error(ca, clean):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        if not clean:
            peer.socket.close()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        for _ in range(10):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            client.exactly(2)


def test_a_tunnel_carries_tls_on_either_side_and_ends_one_direction_at_a_time(certificate, ca):
    """gevent's TLS, which the server has here, cannot end one direction alone; so the client does."""
    ended = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: any\r\nConnection: Upgrade\r\n\r\n")
        said = peer.rest()
        ended.set()
        peer.send(said)

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca), tls=certificate) as rig,
        secured(rig) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: any\r\nConnection: Upgrade\r\n\r\n").head()
        client.send(BIG).socket.shutdown(socket.SHUT_WR)
        assert ended.wait(10)
        assert digests(client.rest()) == digests(BIG)
