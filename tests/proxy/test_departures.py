"""A client that goes away frees its server; one that only ends its side gets its answer."""

from __future__ import annotations

import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.rig import Rig

HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Thinking:
    """A server that says `first` and then thinks; `left`: it was told not to go on, `go_on` makes it answer."""

    def __init__(self, first: bytes = b"", then: bytes = b"") -> None:
        self.begun, self.left = Event(), Event()
        self._first, self._then = first, then

    def __call__(self, peer: Peer) -> None:
        peer.head()
        peer.send(self._first)
        self.begun.set()
        if self._then:
            peer.socket.settimeout(0.5)
            try:
                assert peer.rest() is None, "the proxy left"
            except TimeoutError:
                peer.send(self._then)
            return
        peer.rest()
        self.left.set()


def close(client: Peer) -> None:
    client.socket.close()


def reset(client: Peer) -> None:
    client.reset()


def end_side(client: Peer) -> None:
    client.socket.shutdown(socket.SHUT_WR)


# What the server has said when the client leaves.
STAGES = {
    "nothing": b"",
    "an interim answer": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "a chunk": STREAM + b"2\r\nok\r\n",
}


@pytest.mark.parametrize("leave", [close, reset])
@pytest.mark.parametrize("first", STAGES.values(), ids=STAGES)
def test_a_client_that_goes_away_frees_its_server(leave, first):
    think = Thinking(first)
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig:
        client = rig.client().send(GET)
        assert think.begun.wait(10)
        if first:
            client.read_until(b"ok" if b"ok" in first else b"\r\n\r\n")
        leave(client)
        assert think.left.wait(5)
        rig.comes_to_rest(server.url)
        stats = rig.stats.versions["stable"]
        assert (stats.aborts, stats.failures) == (1, {})


def test_a_client_that_ends_its_side_gets_its_answer():
    think = Thinking(then=HEAD + b"Content-Length: 2\r\n\r\nok")
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        end_side(client.send(GET))
        assert client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.head().startswith(HEAD)
        assert client.rest() == b"ok"


def test_a_client_of_http_1_0_that_ends_its_side_gets_its_answer():
    think = Thinking(then=HEAD + b"Content-Length: 2\r\n\r\nok")
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        end_side(client.send(GET.replace(b"1.1", b"1.0")))
        assert client.head().startswith(HEAD)
        assert client.rest() == b"ok"


def test_a_client_that_ends_its_side_gets_the_rest_of_its_chunks():
    think = Thinking(STREAM + b"2\r\nok\r\n", b"3\r\nyes\r\n0\r\n\r\n")
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).head()
        assert client.exactly(7) == b"2\r\nok\r\n"
        end_side(client)
        assert client.rest() == b"03\r\nyes\r\n0\r\n\r\n"


def test_a_client_that_ends_its_side_within_a_body_of_known_length_gets_all_of_it():
    think = Thinking(HEAD + b"Content-Length: 4\r\n\r\nab", b"cd")
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).head()
        assert client.exactly(2) == b"ab"
        end_side(client)
        assert client.rest() == b"cd"


def test_a_client_that_leaves_in_the_middle_of_its_body_frees_its_server():
    think = Thinking()
    with Upstream(think) as server, Rig("fast_lane", server.url) as rig:
        client = rig.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        assert think.begun.wait(10)
        client.socket.close()
        assert think.left.wait(5)
        rig.comes_to_rest(server.url)
