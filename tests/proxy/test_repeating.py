"""A request on a connection that the server closes at that very moment: which may be sent again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gevent import socket
from gevent.event import Event

from app.balance.retry import FLOOR
from app.config.model import RetryConfig
from app.errors import UpstreamError
from app.proxy.exchange import Exchange
from app.proxy.gateway import Client
from app.wire.head import Request, parse_request
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.raw import OK


class Server:
    """Answers one request a connection and then lets the test do what it wants with the socket."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.released = Event()

    def __call__(self, peer: Peer) -> None:
        self.peers.append(peer)
        peer.head()
        peer.send(OK)
        self.released.wait(20)


def request(method: bytes) -> Request:
    found = parse_request(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method, 1000, 1000, 10)
    assert found is not None
    return found


def opened(rig: Rig, method: bytes) -> Exchange:
    return rig.gateway.open(request(method), b"", None, Client(b"c", False, b"", lambda _response: None))


def close(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


@pytest.mark.parametrize("leave", [close, reset])
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"POST", b"PATCH"])
def test_what_the_server_surely_has_not_read_is_sent_again(method: bytes, leave: Callable[..., None]) -> None:
    """Nothing yields between the close and the next request: the proxy cannot know of it yet."""
    serve = Server()
    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig:
        opened(rig, b"GET").finish()
        leave(serve.peers[0].socket)
        exchange = opened(rig, method)
        assert exchange.response.status == 200
        exchange.finish()
        assert (server.connections, len(serve.peers)) == (2, 2)
        serve.released.set()


@pytest.mark.parametrize(("method", "again"), [(b"GET", True), (b"DELETE", True), (b"POST", False)])
def test_what_it_may_have_read_is_sent_again_only_if_that_does_no_harm(method: bytes, again: bool) -> None:
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        if server.connections == 1:
            peer.head()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig:
        opened(rig, b"GET").finish()
        if again:
            opened(rig, method).finish()
        else:
            with pytest.raises(UpstreamError, match="closed"):
                opened(rig, method)
        assert server.connections == 1 + again


def test_what_the_server_has_read_is_sent_again_within_the_budget() -> None:
    """It takes each second request of a connection and says nothing: without a bound it would see half as many more."""
    seen: list[bytes] = []

    def serve(peer: Peer) -> None:
        seen.append(peer.head())
        peer.send(OK)
        seen.append(peer.head())

    with Upstream(serve) as server, Rig("fast_lane", server.url, retry=RetryConfig(attempts=1)) as rig:
        statuses = [status_of_get(rig) for _ in range(80)]
        rig.comes_to_rest(server.url)
    repeated = len(seen) - seen.count(b"") - len(statuses)
    assert repeated == FLOOR
    assert statuses.count(b"502") > 10
    assert rig.stats.tries == {"retry": 0, "shield": 0, "rescue": 0, "over_budget": statuses.count(b"502")}


def status_of_get(rig: Rig) -> bytes:
    with rig.client() as client:
        return client.send(LAST_GET).head()[9:12]


def test_a_body_that_is_still_to_come_never_meets_an_old_connection() -> None:
    serve = Server()
    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).read_until(b"ok")
        assert client.send(post(b"x" * 70_000)).head().startswith(b"HTTP/1.1 200 ")
        assert server.connections == 2
        serve.released.set()
