"""WebSocket through the proxy as it is run: every byte of it, and everything that may end it."""

from __future__ import annotations

import json
import os
import random
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.support.gunicorn import stock_gunicorn
from tests.support.processes import Process, free_port, python, wait_until
from tests.support.raw import RecordingServer
from tests.support.stack import Stack
from tests.support.tls import TlsSocket, client_context, issue
from tests.support.websocket import EchoServer, accept, connect, echo, open_on

pytestmark = pytest.mark.end_to_end

MIB = 2**20
POOL = os.urandom(2 * MIB)

# Around where a frame's size is written in another way, and around the proxy's own reads.
EDGES = (0, 1, 125, 126, 127, 65535, 65536, 65537, MIB - 1, MIB)


def sizes(count, seed):
    """So many sizes: all of the edges, and others up to 64 KiB, any magnitude as likely as another."""
    rng = random.Random(seed)
    chosen = [*EDGES, *(round(2 ** rng.uniform(0, 16)) for _ in range(count - len(EDGES)))]
    rng.shuffle(chosen)
    return chosen


def message(size):
    return POOL[size : 2 * size]


def converse(client, sizes):
    """Each message comes back, in order, while others are still being sent; some go in fragments, with pings."""
    talking = gevent.spawn(talk, client, sizes)
    for size in sizes:
        assert client.receive() == message(size), f"a message of {size} bytes"
    talking.get()
    client.ping(b"last")
    client.close()
    assert client.pongs == [b"%d" % number for number in range(0, len(sizes), 10)] + [b"last"]


def talk(client, sizes):
    for number, size in enumerate(sizes):
        if number % 10 == 0:
            client.ping(b"%d" % number)
        client.send(message(size), 1 + number % 3)


def chat_stack(folder, **options):
    """A stack whose two versions are echo servers."""
    stack = Stack(folder, **options)
    stack.stable = EchoServer("stable", stack.stable_port, folder)
    stack.canary = EchoServer("canary", stack.canary_port, folder)
    return stack


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with chat_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def configure(stack, **changes):
    """All visitors go to stable; these changes to the first config are in force."""
    first = json.loads(stack.config_file.read_text())
    stack.wait_in_force(stack.put_config({**first, "ratio": 0, **changes})["etag"])


def servers(*urls):
    return {"servers": [{"url": url} for url in urls]}


def in_flight(stack):
    """How many exchanges each version's servers have under way."""
    versions = stack.status()["versions"]
    return {
        name: sum(server["in_flight"] for server in version["servers"]) for name, version in versions.items()
    }


def comes_to_rest(stack):
    wait_until(lambda: set(in_flight(stack).values()) == {0}, what="nothing under way")


def raw(stack):
    return Peer(socket.create_connection(stack.address, timeout=10))


def works(client):
    return client.send(b"still here").receive() == b"still here"


def pour(client):
    """Sends until the other side has gone."""
    with suppress(OSError):
        while True:
            client.send(message(MIB))


def ended(client):
    """Whatever still comes, there is an end to it; a reset is one as well."""
    with suppress(ConnectionError):
        client.peer.rest()
    return True


def test_ten_thousand_messages_come_back_byte_for_byte(live):
    configure(live, ratio=0.5)
    with ExitStack() as opened:
        clients = [opened.enter_context(connect(live.address)) for _ in range(100)]
        assert in_flight(live) == {"stable": 50, "canary": 50}
        talks = [gevent.spawn(converse, client, sizes(100, seed)) for seed, client in enumerate(clients)]
        gevent.joinall(talks, raise_error=True)
    comes_to_rest(live)


def test_a_closing_handshake_is_passed_on_from_either_side(live):
    said = []

    def serve(peer):
        server = accept(peer)
        server.send(b"bye").say_close(b"\x03\xe9going away")
        assert server.receive() is None
        said.append(server.closed)

    configure(live)
    with connect(live.address) as client:
        assert works(client)
        client.close(4000)
    with Upstream(serve) as server:
        configure(live, stable=servers(server.url))
        with connect(live.address) as client:
            assert (client.receive(), client.receive(), client.closed) == (b"bye", None, 1001)
            assert client.peer.rest() == b""
    assert said == [1001]


def test_a_client_that_has_ended_its_side_still_listens(live):
    def serve(peer):
        server = accept(peer)
        question = server.receive()
        assert peer.rest() == b""
        server.send(question * 2)

    with Upstream(serve) as server:
        configure(live, stable=servers(server.url))
        with connect(live.address) as client:
            client.send(message(1000)).peer.socket.shutdown(socket.SHUT_WR)
            assert client.receive() == message(1000) * 2
            assert client.peer.rest() == b""
        comes_to_rest(live)


def test_it_outlives_every_change_of_the_config(live):
    configure(live)
    with connect(live.address) as first:
        assert (first.fields["x-version"], works(first)) == ("stable", True)
        configure(live, ratio=1)
        assert works(first)
        with connect(live.address) as second:
            assert second.fields["x-version"] == "canary"
            configure(live, stable=servers(live.canary.url), canary=servers())
            assert works(first)
            assert works(second)
            configure(live, stable=servers(live.stable.url), canary=servers())
            assert in_flight(live) == {"stable": 0, "canary": 0}  # a server that was gone begins anew
            first.close()
            second.close()
    comes_to_rest(live)


def test_it_is_under_way_for_as_long_as_it_is_open(live):
    configure(live, overrides=[{"header": "X-Beta", "version": "canary"}])
    before = live.status()["versions"]["stable"]["answered"].get("1xx", 0)
    with ExitStack() as opened:
        for fields in ({}, {}, {}, {"X-Beta": "yes"}):
            client = opened.enter_context(connect(live.address, fields=fields))
            assert client.fields["x-version"] == ("canary" if fields else "stable")
        assert in_flight(live) == {"stable": 3, "canary": 1}
    assert live.status()["versions"]["stable"]["answered"]["1xx"] == before + 3
    comes_to_rest(live)


def test_a_visitor_sticks_by_the_cookie_of_the_handshake(live):
    configure(live, ratio=0.5, sticky_sessions=True)
    versions = {}
    while len(set(versions.values())) < 2:
        with connect(live.address) as client:
            cookie, _, attributes = client.fields["set-cookie"].partition(";")
            assert "HttpOnly" in attributes
            versions[cookie] = client.fields["x-version"]
    for cookie, version in versions.items():
        for _ in range(3):
            with connect(live.address, fields={"Cookie": cookie}) as client:
                assert client.fields["x-version"] == version
                assert "set-cookie" not in client.fields


def test_it_counts_as_a_connection(live):
    configure(live, limits={"connections": 2})
    with connect(live.address) as first, connect(live.address) as second:
        with raw(live) as third:
            assert third.send(GET).head().startswith(b"HTTP/1.1 503 ")
            third.read_until(b"(too_many_connections)")
        assert works(first)
        assert works(second)
        second.close()
        wait_until(lambda: live.get().status_code == 426, what="room for another")
        assert works(first)


def test_the_time_it_may_be_silent_can_be_changed(live):
    configure(live)
    with connect(live.address) as before:
        configure(live, timeouts={"tunnel_idle": "100ms"})
        with connect(live.address) as after:
            assert ended(after)
        assert works(before)
        assert ended(before)
        comes_to_rest(live)  # although the client has not closed


def test_a_server_that_is_killed_in_the_middle_is_seen_to_end(live, tmp_path):
    with EchoServer("mortal", free_port(), tmp_path) as server:
        configure(live, stable=servers(server.url))
        with connect(live.address) as idle, connect(live.address) as busy:
            assert works(idle)
            pouring = gevent.spawn(pour, busy)
            assert busy.receive() == message(MIB)
            server.kill9()
            assert ended(idle)
            assert ended(busy)
            pouring.get(timeout=10)
        comes_to_rest(live)
        with raw(live) as client:
            assert client.send(GET).head().startswith(b"HTTP/1.1 503 ")
        server.start()
        with connect(live.address) as client:
            assert works(client)


def test_a_client_that_is_killed_is_seen_to_end(live, tmp_path):
    begun, left = Event(), Event()

    def serve(peer):
        server = accept(peer)
        begun.set()
        try:
            server.receive()
        finally:
            left.set()

    with Upstream(serve) as server:
        configure(live, stable=servers(server.url))
        with Process(python("tests.support.websocket", "stay", str(live.port)), tmp_path / "log") as client:
            assert begun.wait(10)
            client.kill9()
            assert left.wait(10)
        comes_to_rest(live)


NOT_OFFERED = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "several": b"Connection: Upgrade\r\nUpgrade: h2c, TLS/1.2, HTTP/2.0\r\n",
    "by two fields": b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: H2C\r\n",
    "not named": b"Upgrade: websocket\r\n",
}


@pytest.mark.parametrize("fields", NOT_OFFERED.values(), ids=NOT_OFFERED)
def test_an_offer_of_what_would_get_past_us_never_reaches_the_server(live, fields):
    with RecordingServer() as server:
        configure(live, stable=servers(server.url))
        with raw(live) as client:
            ask = GET.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n")
            assert client.send(ask).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
        (asked, _) = server.requests
        assert b"upgrade" not in asked.lower()
        assert b"http2" not in asked.lower()


def test_a_connection_goes_on_after_an_upgrade_was_refused(live):
    configure(live)
    with raw(live) as client:
        old = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        for request in (old, GET, old):
            assert client.send(request).head().startswith(b"HTTP/1.1 426 ")
        assert works(open_on(client))


def test_it_ends_at_once_when_the_process_goes(tmp_path):
    with chat_stack(tmp_path, config={"ratio": 0}) as stack:
        with connect(stack.address) as idle, connect(stack.address) as busy:
            assert works(idle)
            pouring = gevent.spawn(pour, busy)
            assert busy.receive() == message(MIB)
            assert stack.web.terminate() == 0  # well before the 30 s that a request would have
            assert ended(idle)
            assert ended(busy)
            pouring.get(timeout=10)
        assert "Traceback" not in stack.web.output()


def test_through_tls(tmp_path):
    cert, key = issue(tmp_path)
    with chat_stack(tmp_path, env={"TLS_CERT": str(cert), "TLS_KEY": str(key)}) as stack:
        with secured(stack) as client:
            converse(client, sizes(200, seed=1))
        comes_to_rest(stack)
        with secured(stack) as client:
            assert works(client)
            assert stack.web.terminate() == 0
        assert "Traceback" not in stack.web.output()


def secured(stack):
    sock = socket.create_connection(stack.address, timeout=20)
    return open_on(Peer(TlsSocket(sock, client_context())))


def test_through_our_worker(tmp_path):
    with chat_stack(tmp_path, front="worker") as stack:
        with connect(stack.address) as client:
            converse(client, sizes(100, seed=2))
        comes_to_rest(stack)
        assert "Traceback" not in stack.web.output()


@contextmanager
def through_gunicorn(folder, **config):
    """gunicorn with its own worker, before an echo server."""
    with Upstream(partial(echo, name="stable")) as server:
        process, port = stock_gunicorn(folder, server.url, **config)
        with process:
            yield process, ("127.0.0.1", port)
        assert "Traceback" not in process.output()


def test_through_stock_gunicorn(tmp_path):
    with through_gunicorn(tmp_path, sticky_sessions=True) as (process, address):
        with connect(address) as client:
            assert client.fields["x-version"] == "stable"
            assert client.fields["set-cookie"].startswith("serin=")
            converse(client, sizes(100, seed=3))
        with connect(address) as client:
            assert works(client)
            assert process.terminate() == 0
            assert ended(client)
