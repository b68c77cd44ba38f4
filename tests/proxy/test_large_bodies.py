"""Bodies that are worth a pipe: whole, cut, slow, over the limits, and what comes after them."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from app.pipe import WORTH_A_PIPE
from tests.proxy.peer import GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import OK

BODY = os.urandom(WORTH_A_PIPE * 8 + 17)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def open_pipes() -> int:
    return sum(_target(entry).startswith("pipe:") for entry in Path("/proc/self/fd").iterdir())


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""  # the directory's own


@pytest.fixture(autouse=True)
def pipes() -> Iterator[int]:
    """How many there are without us; the test fails if one of ours stays open."""
    before = open_pipes()
    yield before
    wait_until(lambda: open_pipes() <= before, what="every pipe closed")


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_a_download_arrives_whole_and_the_connections_stay():
    def serve(peer: Peer) -> None:
        for _ in range(2):
            peer.head()
            peer.send(HEAD % len(BODY) + BODY)

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        for _ in range(2):
            client.send(GET).head()
            assert digest(client.exactly(len(BODY))) == digest(BODY)
        assert server.connections == 1


def test_an_upload_arrives_whole_and_the_next_request_after_it():
    def serve(peer: Peer) -> None:
        peer.head()
        assert digest(peer.exactly(len(BODY))) == digest(BODY)
        peer.send(OK)
        assert peer.head().startswith(b"GET / ")
        peer.send(OK)

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        for request in (post(BODY), GET):
            assert client.send(request).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
        assert server.connections == 1


def test_pipelined_bytes_behind_an_upload_stay_the_clients():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.exactly(len(BODY))
        peer.send(OK).head()
        peer.send(OK)

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(post(BODY) + GET)
        for _ in range(2):
            assert client.read_until(b"ok").startswith(b"HTTP/1.1 200 ")


def test_extra_bytes_behind_a_download_reach_nobody():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(HEAD % len(BODY) + BODY + OK)
        peer.rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).head()
        assert digest(client.exactly(len(BODY))) == digest(BODY)
        client.send(GET).head()
        assert digest(client.exactly(len(BODY))) == digest(BODY)
        assert server.connections == 2


def test_extra_bytes_behind_a_download_do_not_answer_a_request_that_is_here_already():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(HEAD % len(BODY) + BODY + OK)
        peer.rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET + GET)
        for _ in range(2):
            assert b"Content-Length: %d\r\n" % len(BODY) in client.head()
            assert digest(client.exactly(len(BODY))) == digest(BODY)
        assert server.connections == 2


def test_a_download_cut_short_is_never_a_clean_end():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(HEAD % len(BODY) + BODY[:-1])

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).head()
        with pytest.raises(ConnectionResetError):
            client.rest()
        rig.comes_to_rest(server.url)
        assert rig.stats.versions["stable"].failures == {"truncated": 1}


def test_a_server_that_falls_silent_within_a_download_is_given_up():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(HEAD % len(BODY) + BODY[:-1]).rest()

    with (
        Upstream(serve) as server,
        Rig("fast_lane", server.url, timeouts={"upstream_idle": 0.1}) as rig,
        rig.client() as client,
    ):
        client.send(GET).head()
        with pytest.raises(ConnectionResetError):
            client.rest()
        assert rig.stats.versions["stable"].failures == {"timeout": 1}


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bodies_arrive_whole_when_no_pipe_is_to_be_had():
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(HEAD % len(BODY) + peer.exactly(len(BODY)))

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(post(BODY[:100], length=len(BODY)))
        wait_until(lambda: server.connections, what="the server reached")
        with no_descriptors_left():
            client.send(BODY[100:]).head()
            assert digest(client.exactly(len(BODY))) == digest(BODY)


def test_an_upload_cut_short_is_an_upload_cut_short(pipes):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.rest()

    with Upstream(serve) as server, Rig("fast_lane", server.url) as rig:
        client = rig.client()
        gevent.spawn(client.send, post(BODY[:-1], length=len(BODY))).join()
        wait_until(lambda: open_pipes() > pipes, what="the pipe in use")
        client.socket.close()
        rig.comes_to_rest(server.url)
        stats = rig.stats.versions["stable"]
        assert (stats.aborts, stats.failures) == (1, {})


@pytest.mark.parametrize("end", ["client", "server"])
def test_a_peer_that_takes_nothing_is_given_up(pipes, end):
    def serve(peer: Peer) -> None:
        peer.head()
        if end == "client":
            peer.send(HEAD % (1 << 30))
            while True:
                peer.send(BODY)
        gevent.sleep(20)

    limits = {"body_rate": 2.0**40, "client_head": 0.5, "head": 0.5}
    with Upstream(serve) as server, Rig("fast_lane", server.url, timeouts=limits) as rig:
        client = rig.client()
        if end == "client":
            client.send(GET)
        else:
            uploading = gevent.spawn(_upload, client)
        wait_until(lambda: open_pipes() > pipes, what="the pipe in use")
        rig.comes_to_rest(server.url)
        if end == "server":
            uploading.join()
        client.socket.close()


def _upload(client: Peer) -> None:
    try:
        client.send(post(b"", length=1 << 30))
        while True:
            client.send(BODY)
    except OSError:
        return
