"""The connections to one server: lent, taken back, replaced, and never lent when they are spent."""

from __future__ import annotations

import _socket
import select
from collections.abc import Iterator

import pytest
from gevent import socket

from app.clock import Clock
from app.errors import UpstreamError
from app.upstream.address import Address, Endpoint
from app.upstream.connection import Connection, open_socket
from app.upstream.pool import Pool
from tests.support.processes import free_port, wait_until

A: Endpoint = (socket.AF_INET, ("192.0.2.1", 80))
B: Endpoint = (socket.AF_INET, ("192.0.2.2", 80))


@pytest.fixture
def clock() -> Iterator[Clock]:
    running = Clock()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


def pool_of(listener: socket.socket, clock: Clock) -> Pool:
    pool = Pool(Address.parse(f"http://127.0.0.1:{listener.getsockname()[1]}"), clock)
    pool.resolve()
    return pool


class Network:
    """Endpoints that let in or refuse, without a network. Each connection is one end of a pair."""

    def __init__(self, *refusing: Endpoint) -> None:
        self.refusing = set(refusing)
        self.asked: list[Endpoint] = []

    def open(self, endpoint: Endpoint, _timeout: float) -> _socket.socket:
        self.asked.append(endpoint)
        if endpoint in self.refusing:
            raise UpstreamError("refused", sent=False)
        near, far = _socket.socketpair()
        far.close()
        near.setblocking(False)
        return near


def pool_at(clock: Clock, network: Network) -> Pool:
    """A pool whose server's name stands for A and B."""
    pool = Pool(Address("name", 80, b"name"), clock, network.open)
    pool._endpoints = [A, B]
    return pool


def test_lends_the_last_one_back_first(listener, clock):
    pool = pool_of(listener, clock)
    first, second = pool.connect(1), pool.connect(1)
    pool.give(first, 60)
    pool.give(second, 60)
    assert [pool.take(), pool.take(), pool.take()] == [second, first, None]
    for connection in (first, second):
        pool.drop(connection)


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
def test_a_server_that_speaks_or_leaves_while_idle_is_not_asked_again(listener, clock, says):
    pool = pool_of(listener, clock)
    pool.give(pool.connect(1), 60)
    accepted, _ = listener.accept()
    accepted.sendall(says)
    accepted.close()
    wait_until(lambda: not pool._idle, what="the connection left the pool")
    assert pool.take() is None


def test_one_on_which_something_came_just_now_is_not_lent(listener, clock):
    pool = pool_of(listener, clock)
    first, second = pool.connect(1), pool.connect(1)
    pool.give(second, 60)
    pool.give(first, 60)
    accepted, _ = listener.accept()
    with accepted:
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    select.select([first.stream.fileno()], [], [], 10)  # no turn of the hub, that would drop it
    assert pool.take() is second
    assert pool.take() is None
    pool.drop(second)


def test_what_is_idle_too_long_is_closed(listener, clock):
    pool = pool_of(listener, clock)
    pool.give(pool.connect(1), 0.01)
    accepted, _ = listener.accept()
    accepted.settimeout(10)
    assert accepted.recv(1) == b""
    assert pool.take() is None
    accepted.close()


def test_a_closed_pool_closes_what_it_has_and_what_it_gets(listener, clock):
    pool = pool_of(listener, clock)
    idle, lent = pool.connect(1), pool.connect(1)
    pool.give(idle, 60)
    pool.close()
    pool.give(lent, 60)
    assert pool.take() is None
    for _ in range(2):
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        assert accepted.recv(1) == b""
        accepted.close()


def test_one_whose_time_passed_just_as_it_came_back_is_not_lent_again(listener, clock):
    pool = pool_of(listener, clock)
    connection = pool.connect(1)
    connection.expire()
    pool.give(connection, 60)
    assert pool.take() is None


def test_goes_to_the_next_endpoint_and_remembers_which_one_let_it_in(clock):
    network = Network(A)
    pool = pool_at(clock, network)
    pool.drop(pool.connect(1))
    pool.drop(pool.connect(1))
    assert network.asked == [A, B, B]


def test_fails_as_the_last_endpoint_failed(clock):
    network = Network(A, B)
    with pytest.raises(UpstreamError, match="refused"):
        pool_at(clock, network).connect(1)
    assert network.asked == [A, B]


def test_a_name_may_move_while_a_connection_is_made(clock):
    """What the resolver puts in place between the connect and its success stays in place."""

    class Moving(Network):
        def open(self, endpoint: Endpoint, timeout: float) -> _socket.socket:
            pool._endpoints = [B]
            return super().open(endpoint, timeout)

    network = Moving()
    pool = pool_at(clock, network)
    pool.drop(pool.connect(1))
    pool.drop(pool.connect(1))
    assert network.asked == [A, B]


def test_a_name_that_is_lost_keeps_its_last_answer(clock):
    lost = Address("no-such-host.invalid", 80, b"no-such-host.invalid")
    pool = Pool(lost, clock)
    with pytest.raises(UpstreamError, match="name_not_found"):
        pool.resolve()
    with pytest.raises(UpstreamError, match="name_not_found"):
        pool.connect(1)
    pool._endpoints = [A]
    pool.resolve()
    assert pool._endpoints == [A]


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [((socket.AF_INET, ("127.0.0.1", free_port())), "refused"), ((12345, ("127.0.0.1", 1)), "network")],
)
def test_what_the_network_says_becomes_an_error_of_ours(endpoint, reason):
    with pytest.raises(UpstreamError, match=reason) as failed:
        open_socket(endpoint, 1)
    assert not failed.value.sent


def answered(pool: Pool, listener: socket.socket) -> tuple[Connection, socket.socket]:
    """A connection that has carried one exchange and is back in the pool, and the server's end of it."""
    connection = pool.connect(1)
    accepted, _ = listener.accept()
    connection.send(b"request")
    accepted.recv(100)
    accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
    connection.receive_head(b"GET", 1000, lambda _interim: None)
    assert connection.answered
    pool.give(connection, 60)
    return connection, accepted


def test_a_lent_connection_has_answered_nothing_yet(listener, clock):
    pool = pool_of(listener, clock)
    connection, accepted = answered(pool, listener)
    assert pool.take() is connection
    assert not connection.answered
    pool.drop(connection)
    accepted.close()
