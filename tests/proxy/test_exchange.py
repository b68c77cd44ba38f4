"""One exchange with a server that is a script: what cannot be timed from outside."""

from __future__ import annotations

import gevent
import pytest

from app.balance.balancer import Choice
from app.balance.server import Load, Server
from app.clock import NEVER, Clock
from app.config.model import Timeouts
from app.errors import UpstreamError, WireError
from app.proxy.body_source import BodySource
from app.proxy.exchange import Exchange
from app.proxy.stats import VersionStats
from app.wire.head import parse_request, parse_response
from tests.proxy.peer import post
from tests.support.raw import OK


class Script:
    """A connection that takes `takes` messages and then breaks; the answer comes once the upload has ended."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.deadline = NEVER
        self.stream = self
        self.plain = True
        self.closed = False

    def send(self, _data: bytes) -> None:
        self.takes -= 1
        if self.takes < 0:
            raise UpstreamError("reset")

    def receive_head(self, method: bytes, _head_bytes: int, _interim: object) -> tuple[object, bytes]:
        gevent.sleep(0)
        gevent.sleep(0)
        if self.closed:
            raise UpstreamError("closed")
        head = parse_response(OK, method, 1000)
        return head, OK[head.size :]

    def shut(self) -> None:
        self.closed = True


class Pool:
    """Says what became of the connection."""

    def __init__(self) -> None:
        self.fate = ""

    def give(self, _connection: Script, _seconds: float) -> None:
        self.fate = "given back"

    def drop(self, _connection: Script) -> None:
        self.fate = "dropped"


class Body(BodySource):
    """Pieces of a request body; the last may be an error."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = [*pieces, b""]

    def read(self) -> bytes:
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def exchange(pool: Pool) -> Exchange:
    request = parse_request(post(b"", length=100_000), 1000, 1000, 100)
    figures = VersionStats()
    choice = Choice(Server("http://a", "stable", 1, Load(pool=pool)), None, "style", figures)
    return Exchange(request, choice, figures, Timeouts(), Clock())


def test_a_connection_whose_exchange_is_whole_is_given_back(exchange, pool):
    exchange.converse(Script(2), b"head", Body(b"body"), 1000, print)
    assert exchange.request_sent
    assert (exchange.payload, exchange.complete) == (b"ok", True)
    exchange.finish()
    assert pool.fate == "given back"


def test_a_request_that_the_server_did_not_take_is_not_sent_though_it_is_answered(exchange, pool):
    exchange.converse(Script(1), b"head", Body(b"body"), 1000, print)
    assert not exchange.request_sent
    exchange.finish()
    assert pool.fate == "dropped"


def test_what_broke_the_request_is_what_is_raised(exchange):
    with pytest.raises(WireError, match="too slow"):
        exchange.converse(
            Script(9), b"head", Body(b"x", WireError(408, "body_timeout", "too slow")), 1000, print
        )
    assert not exchange.request_sent


def test_a_head_that_no_longer_goes_out_because_the_client_has_left_is_the_clients_doing(exchange):
    exchange.leave(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError, match="gone"):
        exchange.converse(Script(0), b"head", None, 1000, print)
