"""Every case of what servers send, through both fronts; and what the next request on each side then gets."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import ExitStack, suppress
from typing import Self

import pytest
from gevent import socket

from tests.corpus.answers import Answer, read_answer
from tests.corpus.response_cases import ResponseCase, load
from tests.corpus.scripted import AFTER, Script, closes_cleanly
from tests.proxy.peer import Peer, Upstream
from tests.proxy.rig import Rig

CASES = load()
PASSED = [case for case in CASES if case.status and not case.reason]
REFUSED = [case for case in CASES if case.status and case.reason]
CUT = [case for case in CASES if not case.status]
LIMITS = {"head_bytes": 2048}

# What pywsgi does by itself, whatever its app says: it answers Expect, ends an answer to HEAD that names no
# length with a last chunk, and does not end a connection of HTTP/1.0 so that a client could see what was cut.
BEYOND_WSGI = re.compile(
    "expect_.*refused|head_(chunked|close|from_1_0|no_length|with_chunks)|.*_1_0_keep_alive"
)
NOT_SEEN_CUT = re.compile(".*_1_0|early_.*")
PIECES = {
    "whole": lambda data: [data],
    "lines": lambda data: re.findall(rb"(?s).+?\r\n|.+$", data),
    "bytes": lambda data: [data[at : at + 1] for at in range(len(data))],
}


def each(cases: list[ResponseCase]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


in_pieces = pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)


class Play:
    """A case on its stage: the server with its script, the proxy, and one client that has sent its request."""

    def __init__(self, front: str, case: ResponseCase, pieces: list[bytes]) -> None:
        self.case = case
        self.script = Script(case.request, pieces, case.leaves)
        self._front = front
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        self.server = enter(Upstream(self.script.serve))
        self.rig = enter(Rig(self._front, self.server.url, limits=LIMITS, sticky_sessions=False))
        self.client = enter(self.rig.client()).send(self.case.request)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def answer(self) -> Answer:
        return read_answer(self.client, self.case.request)

    def failures(self) -> dict[str, int]:
        self.rig.comes_to_rest(self.server.url)
        return dict(self.rig.stats.versions["stable"].failures)

    def asks_again(self, *, same_client: bool) -> int:
        """The next request gets its own answer; how many connections has the server seen by then?"""
        assert self.script.said.wait(5)
        if not self.case.kept:
            assert self.script.left.wait(5), "the connection was not dropped"
        if same_client:
            assert read_answer(self.client.send(AFTER), AFTER).body == b"after"
        assert closes_cleanly(self.client)
        if not same_client:
            with self.rig.client() as client:
                assert read_answer(client.send(AFTER), AFTER).body == b"after"
        return self.server.connections


@in_pieces
@each(PASSED)
def test_the_client_sees_exactly_this(case, pieces):
    with Play("fast_lane", case, pieces(case.server)) as play:
        answer = play.answer()
        assert answer.plain == case.client
        assert play.asks_again(same_client=not answer.closes) == (1 if case.kept else 2)
        play.client.socket.close()
        assert play.failures() == {}


@in_pieces
@each(REFUSED)
def test_is_refused(case, pieces):
    with Play("fast_lane", case, pieces(case.server)) as play:
        answer = play.answer()
        assert answer.status == case.status
        assert (b"(%b)" % case.reason.encode() in answer.body) is not case.request.startswith(b"HEAD ")
        assert play.asks_again(same_client=not answer.closes) == 2
        play.client.socket.close()
        assert play.failures() == {case.reason: 1}


@in_pieces
@each(CUT)
def test_breaks_off(case, pieces):
    """A fault in what comes with the head is a refusal; later it can only be a reset."""
    with Play("fast_lane", case, pieces(case.server)) as play:
        with suppress(ConnectionResetError):
            assert play.answer().status == 502
        play.client.socket.close()
        assert play.failures() == {case.reason: 1}


@each(CUT)
def test_a_fault_that_comes_after_the_head_breaks_off(case):
    with Play("fast_lane", case, PIECES["lines"](case.server)) as play, pytest.raises(ConnectionResetError):
        play.client.rest()


@each([case for case in PASSED if not BEYOND_WSGI.fullmatch(case.name)])
def test_the_wsgi_app_says_the_same(case):
    with Play("wsgi", case, [case.server]) as play:
        answer = play.answer()
        expected = as_read(case)
        assert (answer.status, answer.body) == (expected.status, expected.body)
        assert end_to_end(expected) == end_to_end(answer)
        assert play.asks_again(same_client=not expected.closes) == (1 if case.kept else 2)
        play.client.socket.close()
        assert play.failures() == {}


@each(REFUSED)
def test_the_wsgi_app_refuses(case):
    with Play("wsgi", case, [case.server]) as play:
        answer = play.answer()
        assert answer.status == case.status
        assert (b"(%b)" % case.reason.encode() in answer.body) is not case.request.startswith(b"HEAD ")
        play.client.socket.close()
        assert play.failures() == {case.reason: 1}


@each([case for case in CUT if not NOT_SEEN_CUT.fullmatch(case.name)])
def test_the_wsgi_app_ends_no_cut_answer_cleanly(case):
    with Play("wsgi", case, PIECES["lines"](case.server)) as play:
        with pytest.raises((AssertionError, ConnectionError)):
            play.answer()
        play.client.socket.close()
        assert play.failures() == {case.reason: 1}


def as_read(case: ResponseCase) -> Answer:
    """What the client's section of a case means; it must be well-formed itself."""
    here, there = socket.socketpair()
    with here, Peer(there) as client:
        here.sendall(case.client)
        here.shutdown(socket.SHUT_WR)
        return read_answer(client, case.request)


def end_to_end(answer: Answer) -> Counter[tuple[bytes, bytes]]:
    """The fields, but for those that a WSGI server writes itself."""
    its_own = (b"connection", b"transfer-encoding", b"content-length", b"date")
    return Counter(field for field in answer.fields if field[0] not in its_own)
