"""The crowd tells who was let in, what each was told, and who was sent away."""

from __future__ import annotations

import pytest
from gevent import socket

from tests.proxy.peer import Peer, Upstream
from tests.support.crowd import FROM, KINDS, Crowd
from tests.support.raw import OK, Address, RecordingServer

TOO_SLOW = OK.replace(b"200 OK", b"408 Too Slow")


def test_idle_clients_stay_once_they_have_been_answered():
    with RecordingServer() as server, Crowd(server.address, "idle", 5, "/here") as crowd:
        crowd.wait_arrived()
    assert crowd.last == {"arrived": 5, "gone": 0, "statuses": {"200": 5}}
    assert len(server.connections) == 5
    assert all(request.startswith(b"GET /here HTTP/1.1\r\n") for request in server.requests)


def address_of(server: Upstream) -> Address:
    return "127.0.0.1", int(server.url.rpartition(":")[2])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "idle"])
def test_slow_ones_are_gone_when_they_were_sent_away(kind):
    def serve(peer: Peer) -> None:
        assert peer.socket.getpeername()[0] == FROM
        peer.read_until(b"crowd\r\n")
        peer.send(TOO_SLOW).socket.shutdown(socket.SHUT_WR)
        peer.rest()

    with Upstream(serve) as server, Crowd(address_of(server), kind, 5, pause=0.01) as crowd:
        crowd.wait_gone()
    assert crowd.last == {"arrived": 5, "gone": 5, "statuses": {"408": 5}}


def test_a_sender_is_slow_and_never_done():
    heard: list[bytes] = []

    def serve(peer: Peer) -> None:
        peer.read_until(b"X-Slow: ")
        heard.extend(peer.exactly(1) for _ in range(3))
        peer.send(TOO_SLOW)

    with Upstream(serve) as server, Crowd(address_of(server), "slow_heads", 1, pause=0.01) as crowd:
        crowd.wait_gone()
    assert heard == [b"a"] * 3
