"""Every time limit of the config document can be changed while the proxy serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import NamedTuple

import pytest
from gevent import socket

from tests.proxy.peer import GET, Peer, Upstream, post
from tests.support.processes import wait_until
from tests.support.raw import OK
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

MIB = 2**20

# Long enough that a test would fail before any of them is over.
PATIENT = {
    "client_head": "10m",
    "client_idle": "1h",
    "body_rate": None,
    "connect": "1m",
    "head": "1h",
    "upstream_idle": "1h",
    "request": None,
}


class Limit(NamedTuple):
    """A time limit, what a client sends to come upon it, and the refusal it then gets."""

    short: float | str
    sent: bytes
    status: bytes
    reason: bytes
    others: Mapping[str, str] = MappingProxyType({})


SLOW_ANSWER = GET.replace(b"GET /", b"GET /?delay=60")
LIMITS = {
    "client_head": Limit("100ms", GET[:-2], b"408", b"head_timeout"),
    "body_rate": Limit(MIB, post(b"x", length=9), b"408", b"body_timeout", {"client_head": "100ms"}),
    "connect": Limit("100ms", GET.replace(b"GET /", b"GET /full"), b"504", b"connect_timeout"),
    "head": Limit("100ms", SLOW_ANSWER, b"504", b"timeout"),
    "request": Limit("100ms", SLOW_ANSWER, b"504", b"timeout"),
}


@pytest.fixture(scope="module")
def full():
    """The URL of a server that leaves the handshake hanging: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as held:
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def live(tmp_path_factory, full):
    """A stack of which only the time limits change; paths below /full go to a server that never lets one in."""
    rules = {
        "canary": {"servers": [{"url": full}]},
        "overrides": [{"path_prefix": "/full", "version": "canary"}],
    }
    with Stack(tmp_path_factory.mktemp("stack"), config={"ratio": 0, **rules}) as stack:
        yield stack


def set_timeouts(stack, changes=None, **timeouts):
    """The first config, but for these limits and changes, is in force."""
    first = json.loads(stack.config_file.read_text())
    document = {**first, **(changes or {}), "timeouts": PATIENT | timeouts}
    stack.wait_in_force(stack.put_config(document)["etag"])


def client(stack):
    return Peer(socket.create_connection(stack.address, timeout=10))


@pytest.mark.parametrize("name", LIMITS)
def test_a_time_limit_can_be_changed_while_connections_are_open(live, name):
    limit = LIMITS[name]
    set_timeouts(live, **limit.others)
    with client(live) as peer:
        peer.send(GET).read_until(b"on port %d\n" % live.stable_port)
        set_timeouts(live, **limit.others, **{name: limit.short})
        assert peer.send(limit.sent).head().startswith(b"HTTP/1.1 %b " % limit.status)
        peer.read_until(limit.reason)


def test_the_time_an_idle_client_has_can_be_changed(live):
    set_timeouts(live)
    with client(live) as peer:
        peer.send(GET).read_until(b"on port %d\n" % live.stable_port)
        set_timeouts(live, client_idle="100ms")
        peer.send(GET).read_until(b"on port %d\n" % live.stable_port)
        assert peer.rest() == b""


def test_the_time_an_idle_server_connection_is_kept_can_be_changed(live):
    ended = []

    def serve(peer):
        try:
            while peer.head():
                peer.send(OK)
        finally:
            ended.append(peer)

    with Upstream(serve) as server:
        stable = {"stable": {"servers": [{"url": server.url}]}}
        set_timeouts(live, stable)
        assert (live.get().text, live.get().text, server.connections) == ("ok", "ok", 1)
        set_timeouts(live, stable, upstream_idle="100ms")
        assert (live.get().text, server.connections, ended) == ("ok", 1, [])
        wait_until(lambda: ended, what="the connection's end")
