"""Good responses, spoiled: a client gets one well-formed answer, a refusal or a reset, and next its own answer.

FUZZ_EXAMPLES in the environment makes a longer run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import count

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.answers import Answer, read_answer
from tests.corpus.mutations import CHANGES, SPLITS, mutate
from tests.corpus.response_cases import load
from tests.corpus.scripted import closes_cleanly
from tests.proxy.peer import GET, LAST_GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.support.raw import OK

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))

# What is put in: responses, what frames or ends one, and anything that could part or end a line.
PIECES = [
    OK, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 101 A\r\n", b"HTTP/1.0 200 OK\r\n",
    b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Content-Length, X\r\n", b"X: y\r\n",
    b"Upgrade: a\r\nConnection: Upgrade\r\n", b"\r\n\r\n", b"\r\n", b"\r", b"\n", b"\r\n ", b"\0", b"\x0b", b"\xff",
    b" ", b"\t", b":", b",", b";", b'"', b"0", b"1", b"a", b"0\r\n\r\n", b"3\r\nabc\r\n", b"3;a=b\r\nabc\r\n",
]  # fmt: skip
REQUESTS = [
    GET,
    LAST_GET,
    b"HEAD" + GET[3:],
    post(b"abc"),
    b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
]

_good = st.sampled_from([case.server for case in load() if not case.reason and len(case.server) < 500])
_changes = st.tuples(
    st.sampled_from(SPLITS),
    st.sampled_from(CHANGES),
    st.integers(0, 500),
    st.integers(0, 7),
    st.sampled_from(PIECES),
)
spoiled = st.builds(
    lambda data, changes: reduce(mutate, changes, data), _good, st.lists(_changes, max_size=4)
)


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What the server sends, in two pieces, and whether it leaves then."""

    data: bytes
    cut: int
    leaves: bool

    @property
    def pieces(self) -> list[bytes]:
        at = self.cut % (len(self.data) + 1)
        return [self.data[:at], self.data[at:]]


examples = st.builds(Spoiled, spoiled, st.integers(0, 500), st.booleans())


class Server:
    """Answers /next/N with N, and everything else with what is spoiled. It soon leaves one that asks no more."""

    def __init__(self) -> None:
        self.spoiled = Spoiled(b"", 0, True)
        self.said = Event()

    def serve(self, peer: Peer) -> None:
        while True:
            request = peer.head()
            if request.startswith(b"POST"):
                peer.exactly(3)
            if request.startswith(b"GET /next/"):
                name = request.split(b" ")[1]
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))
            elif not self._say(peer):
                return
            peer.socket.settimeout(0.01)

    def _say(self, peer: Peer) -> bool:
        try:
            for piece in self.spoiled.pieces:
                peer.send(piece)
                gevent.idle()
        finally:
            self.said.set()
        return not self.spoiled.leaves


class Stage:
    """The server, the proxy before it, and one client for each `play`."""

    def __init__(self, server: Server, rig: Rig) -> None:
        self._server = server
        self._rig = rig
        self._names = count()

    def play(self, request: bytes, spoiled: Spoiled) -> None:
        self._server.spoiled = spoiled
        self._server.said.clear()
        with self._rig.client() as client:
            answer = read_answer(client.send(request), request)
            assert self._server.said.wait(5)
            gevent.idle()
            if not ends(answer, request):
                self._ask_next(client)
            assert closes_cleanly(client)

    def _ask_next(self, client: Peer) -> None:
        name = b"/next/%d" % next(self._names)
        request = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % name
        assert read_answer(client.send(request), request).body == name


def ends(answer: Answer, request: bytes) -> bool:
    """Is this the last answer on its connection?"""
    kept_1_0 = (b"connection", b"keep-alive") in answer.fields
    return answer.closes or request == LAST_GET or (b" HTTP/1.0\r\n" in request and not kept_1_0)


def staged(front: str) -> Iterator[Stage]:
    server = Server()
    with Upstream(server.serve) as upstream, Rig(front, upstream.url, sticky_sessions=False) as rig:
        yield Stage(server, rig)


@pytest.fixture(scope="module")
def fast_lane() -> Iterator[Stage]:
    yield from staged("fast_lane")


@pytest.fixture(scope="module")
def wsgi() -> Iterator[Stage]:
    yield from staged("wsgi")


@settings(deadline=None, max_examples=EXAMPLES)
@given(request=st.sampled_from(REQUESTS), spoiled=examples)
def test_a_client_gets_one_answer_or_a_reset_and_then_its_own(fast_lane, request, spoiled):
    try:
        fast_lane.play(request, spoiled)
    except ConnectionResetError:
        return  # the answer broke off, and the client could see it


@settings(deadline=None, max_examples=EXAMPLES // 3)
@given(request=st.sampled_from([GET, post(b"abc")]), spoiled=examples)
def test_behind_pywsgi_too(wsgi, request, spoiled):
    """But that what breaks off ends without a reset: early, not cleanly."""
    try:
        wsgi.play(request, spoiled)
    except AssertionError as error:
        assert str(error).startswith("ended after")  # noqa: PT017  # see Peer
