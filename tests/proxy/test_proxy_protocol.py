"""The PROXY protocol on the wire: who the client is by the word of a load balancer that speaks below HTTP."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import gevent
import pytest
from gevent.event import Event

from app.wire.proxy_protocol import SIGNATURE
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer, exchange

VERSION_1 = b"PROXY TCP4 198.51.100.4 192.0.2.1 56324 443\r\n"


def binary(command: int, kind: int, block: bytes = b"") -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(block).to_bytes(2) + block


IPV4 = IPv4Address("198.51.100.4").packed + IPv4Address("192.0.2.1").packed + b"\xdc\x04\x01\xbb"
IPV6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + b"\xdc\x04\x01\xbb"
OVER_TLS = binary(0x21, 0x11, IPV4 + b"\x20\0\5\1\0\0\0\1")

# name: (header, what the server is told of the client, and of how it came)
HEADERS = {
    "version 1": (VERSION_1, b"198.51.100.4", b"http"),
    "version 1, IPv6": (b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", b"2001:db8::1", b"http"),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", b"127.0.0.1", b"http"),
    "version 2": (binary(0x21, 0x11, IPV4), b"198.51.100.4", b"http"),
    "version 2, IPv6": (binary(0x21, 0x21, IPV6), b"2001:db8::1", b"http"),
    "version 2, client over TLS": (OVER_TLS, b"198.51.100.4", b"https"),
    "version 2, local": (binary(0x20, 0), b"127.0.0.1", b"http"),
}


def sources(server: RecordingServer) -> list[tuple[bytes, bytes]]:
    """Of each request, who sent it and over which scheme, as the server was told."""
    found = []
    for request in server.requests:
        fields = dict(line.split(b": ", 1) for line in request.split(b"\r\n")[1:-2])
        found.append((fields[b"X-Forwarded-For"], fields[b"X-Forwarded-Proto"]))
    return found


@pytest.fixture
def server():
    with RecordingServer() as running:
        yield running


def rig_for(server: RecordingServer, **options: object) -> Rig:
    return Rig("fast_lane", server.url, proxy_protocol=True, **options)


@pytest.mark.parametrize(("header", "client", "scheme"), HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_the_client_is_whom_the_header_names(server, header, client, scheme, byte_by_byte):
    with rig_for(server) as rig:
        answer = exchange(rig.address, header + GET + LAST_GET, byte_by_byte=byte_by_byte)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert sources(server) == [(client, scheme)] * 2


def test_a_header_may_come_before_the_request(server):
    with rig_for(server) as rig, rig.client() as client:
        client.send(VERSION_1)
        wait_until(lambda: len(rig.gateway.lanes) == 1, what="the connection")
        assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
    assert sources(server) == [(b"198.51.100.4", b"http")]


def test_each_connection_has_a_header_of_its_own(server):
    with rig_for(server) as rig:
        exchange(rig.address, VERSION_1 + LAST_GET)
        exchange(rig.address, VERSION_1.replace(b"198.51.100.4", b"203.0.113.9") + LAST_GET)
    assert sources(server) == [(b"198.51.100.4", b"http"), (b"203.0.113.9", b"http")]


@pytest.mark.parametrize(
    "data",
    [LAST_GET, b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" + LAST_GET, b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n" + LAST_GET,
     binary(0x21, 0x11, IPV4[:-1]) + LAST_GET, b"PROXY " + b"a" * 200],
)  # fmt: skip
def test_who_sends_no_header_is_refused(server, data):
    with rig_for(server) as rig:
        answer = exchange(rig.address, data)
        rig.comes_to_rest(server.url)
        assert rig.stats.refused["bad_proxy_header"] == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"bad_proxy_header" in answer
    assert server.requests == []


@pytest.mark.parametrize("second", [VERSION_1, binary(0x21, 0x11, IPV4)])
def test_a_client_cannot_add_a_header_to_the_load_balancers(server, second):
    with rig_for(server) as rig:
        assert exchange(rig.address, VERSION_1 + second + LAST_GET).startswith(b"HTTP/1.1 400 ")
    assert server.requests == []


@pytest.mark.parametrize("header", [VERSION_1, binary(0x21, 0x11, IPV4)])
def test_nobody_is_believed_who_was_not_asked(front, server, header):
    with Rig(front, server.url) as rig:
        assert not exchange(rig.address, header + LAST_GET).startswith(b"HTTP/1.1 200 ")
    assert server.requests == []


def test_a_client_that_leaves_within_the_header_leaves_nothing_behind(server):
    with rig_for(server) as rig:
        for size in (0, 1, 20, len(VERSION_1) - 1):
            with rig.client() as client:
                client.send(VERSION_1[:size])
        rig.comes_to_rest(server.url)
        assert not rig.stats.refused
    assert server.requests == []


def test_a_header_must_be_whole_in_time(server):
    with rig_for(server, timeouts={"client_head": 0.2}) as rig, rig.client() as client:
        assert b"200" not in client.send(VERSION_1[:20]).rest()
        rig.comes_to_rest(server.url)


def test_trust_is_in_the_address_that_the_header_names(server):
    """A load balancer below HTTP hides no proxy: who is trusted is whom it names."""
    forged = LAST_GET[:-2] + b"X-Forwarded-For: 6.6.6.6\r\n\r\n"
    with rig_for(server, trusted_proxies=(ip_network("127.0.0.0/8"),)) as rig:
        exchange(rig.address, VERSION_1 + forged)
        exchange(rig.address, VERSION_1.replace(b"198.51.100.4", b"127.0.0.9") + forged)
    assert sources(server) == [(b"198.51.100.4", b"http"), (b"6.6.6.6, 127.0.0.9", b"http")]


def test_a_drain_waits_for_a_request_that_came_with_its_header():
    body = b"x" * 100_000
    asked = Event()

    def serve(peer: Peer) -> None:
        peer.head()
        asked.set()
        peer.exactly(len(body))
        peer.send(OK)

    with Upstream(serve) as server, Rig("fast_lane", server.url, proxy_protocol=True) as rig:
        with rig.client() as client:
            client.send(VERSION_1 + post(body[:10], length=len(body)))
            assert asked.wait(10)
            rig.gateway.drain()
            gevent.idle()
            assert client.send(body[10:]).rest().startswith(b"HTTP/1.1 200 ")
        rig.comes_to_rest(server.url)
