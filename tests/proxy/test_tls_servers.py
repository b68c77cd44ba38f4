"""TLS towards servers: only the right one gets a request, and connections last."""

from __future__ import annotations

import datetime

import gevent
import pytest
import trustme
from gevent import ssl

from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.proxy.secure_peer import BIG, BLOCK, SecureUpstream, answering, digests, secured, trusting
from tests.proxy.test_servers import error_of
from tests.support.processes import wait_until
from tests.support.raw import OK, exchange
from tests.support.tls import server_context


def test_asks_a_server_over_tls(front, ca):
    with (
        SecureUpstream(answering()) as server,
        Rig(front, trusting(server.url, ca)) as rig,
        rig.client() as client,
    ):
        for _ in range(3):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            assert client.exactly(2) == b"ok"
    assert server.connections == 1
    assert server.names == [None]  # an address is not told
    assert server.protocols == ["http/1.1"]


def test_tells_the_server_the_name_it_asks_for(ca):
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.at("localhost"), ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.names == ["localhost"]


@pytest.mark.parametrize("name", ["inside.example", "inside.example."])
def test_a_server_may_go_by_another_name(ca, name):
    context = server_context("inside.example")
    with (
        SecureUpstream(answering(), context) as server,
        Rig("fast_lane", trusting(server.url, ca, name=name)) as rig,
    ):
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.names == ["inside.example"]


def test_bodies_of_megabytes_pass_both_ways(front, ca):
    received: list[bytes] = []

    def serve(peer: Peer) -> None:
        peer.head()
        received.append(peer.exactly(len(BIG)))
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        peer.send(BIG).rest()

    with SecureUpstream(serve) as server, Rig(front, trusting(server.url, ca)) as rig, rig.client() as client:
        client.send(post(BIG)).head()
        answer = client.exactly(len(BIG))
    assert digests(received[0], answer) == digests(BIG, BIG)


def test_both_sides_at_once(certificate, ca):
    """A server that answers while the client still uploads, TLS on either side."""

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        for _ in range(len(BIG) // len(BLOCK)):
            peer.send(peer.exactly(len(BLOCK)))
        peer.rest()

    with (
        SecureUpstream(serve) as server,
        Rig("fast_lane", trusting(server.url, ca), tls=certificate) as rig,
        secured(rig) as client,
    ):
        sending = gevent.spawn(client.send, post(BIG))
        client.head()
        assert digests(client.exactly(len(BIG))) == digests(BIG)
        sending.get(timeout=10)


def test_a_connection_waits_for_its_next_request(ca):
    """The session tickets that come after the handshake do not look like a word of the server's."""
    with SecureUpstream(answering()) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        pool = rig.load(server.url).pool
        pool.give(pool.connect(1), 60)
        connection = pool._idle[0]
        wait_until(lambda: connection.stream.session.has_ticket, what="the tickets")
        assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.connections == 1


def test_what_a_server_says_unasked_never_reaches_anybody(ca):
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)
        gevent.sleep(0)
        peer.send(evil).rest()

    with SecureUpstream(serve) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
        wait_until(lambda: not rig.load(server.url).pool._idle, what="the connection dropped")
        assert exchange(rig.address, LAST_GET).endswith(b"\r\n\r\nok")
    assert server.connections == 2


def test_a_second_connection_resumes_the_session(ca):
    def serve(peer: Peer) -> None:
        peer.head()
        peer.send(OK)

    with SecureUpstream(serve) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        for _ in range(3):
            assert exchange(rig.address, LAST_GET).endswith(b"ok")
    assert server.resumed == [False, True, True]


YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.mark.parametrize(
    "context",
    [
        server_context("other.example"),
        server_context("127.0.0.2"),
        server_context(not_after=YESTERDAY),
        server_context(authority=trustme.CA()),
    ],
    ids=["another name", "another address", "expired", "unknown authority"],
)
def test_a_server_that_is_not_who_it_should_be_gets_no_request(front, ca, context):
    with SecureUpstream(answering(), context) as server, Rig(front, trusting(server.url, ca)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")
        rig.comes_to_rest(server.url)
    assert rig.stats.versions["stable"].failures == {"tls_certificate": 1}


def test_the_systems_authorities_are_the_default():
    """Ours is not among them."""
    with SecureUpstream(answering()) as server, Rig("fast_lane", server.url) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls_certificate")


def test_verification_can_be_turned_off(ca):
    context = server_context("other.example", authority=trustme.CA())
    with (
        SecureUpstream(answering(), context) as server,
        Rig("fast_lane", trusting(server.url, None, verify=False)) as rig,
    ):
        assert exchange(rig.address, LAST_GET).endswith(b"ok")


def test_a_server_without_tls_is_a_502(front, ca):
    with Upstream(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        url = server.url.replace("http:", "https:")
        with Rig(front, trusting(url, ca)) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls")


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_a_server_of_an_old_version_is_a_502(ca):
    context = server_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with SecureUpstream(answering(), context) as server, Rig("fast_lane", trusting(server.url, ca)) as rig:
        assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"tls")


def test_a_server_that_leaves_during_the_handshake_is_a_502(ca):
    with Upstream(lambda peer: peer.exactly(10)) as server:
        url = server.url.replace("http:", "https:")
        with Rig("fast_lane", trusting(url, ca)) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"502", b"reset")


def test_a_server_that_does_not_finish_the_handshake_is_a_504(ca):
    with Upstream(lambda peer: peer.rest()) as server:
        url = server.url.replace("http:", "https:")
        with Rig("fast_lane", trusting(url, ca), timeouts={"connect": 0.1}) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"connect_timeout")
            rig.comes_to_rest(url)
