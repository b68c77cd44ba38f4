"""Every case through both fronts, with a recording server behind: what is refused never reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.wire.body import CHUNKED, LAST_CHUNK, chunk, decoder
from app.wire.head import parse_request
from tests.corpus.cases import Case, load
from tests.proxy.rig import Rig
from tests.support.raw import OK, RecordingServer, exchange

CASES = load()
ACCEPTED = [case for case in CASES if not case.reason]
REFUSED = [case for case in CASES if case.reason]
LIMITS = {"head_bytes": 2048, "target_bytes": 200, "headers": 20, "body_bytes": 1000}
# What pywsgi's own parser, which comes before ours here, reads in another way.
NOT_BY_PYWSGI = {
    "absolute_form_ipv6",
    "body_of_head",
    "chunk_extension_white_space",
    "connection_close_in_a_list",
    "connection_close_on_two_lines",
    "connection_close_with_white_space",
    "empty_line_first",
    "keep_alive_1_0_among_others",
    "pipeline_empty_line_between",
    "pipeline_of_versions",
    "upgrade_with_chunks",  # its body goes on with the chunks' framing in it
    "version_without_minor",  # it answers 400 with a traceback
    # WSGI has no way to switch: 501.
    "upgrade_refused_then_a_request",
    "upgrade_to_one_of_two",
    "upgrade_websocket",
}
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
_MADE_ID = re.compile(rb"(\r\nX-Request-ID: )[0-9a-f]{12}-[0-9a-f]+\r\n")
# Without 1xx: pywsgi sends a 100 of its own.
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2}) ")


class Proxied:
    """A proxy and the server behind it, used for many cases."""

    def __init__(self, rig: Rig, seen: list[bytes]) -> None:
        self._rig = rig
        self._seen = seen

    def send(self, data: bytes, *, byte_by_byte: bool = False) -> tuple[list[int], bytes, list[bytes]]:
        """The statuses of the answers, the answers, and the requests that the server saw."""
        self._seen.clear()
        answers = exchange(self._rig.address, data, byte_by_byte=byte_by_byte, half_close=True)
        return [int(status) for status in _STATUS.findall(answers)], answers, list(map(plain, self._seen))


def proxied(front: str) -> Iterator[Proxied]:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return OK

    with RecordingServer(answer) as server, Rig(front, server.url, limits=LIMITS) as rig:
        yield Proxied(rig, seen)


@pytest.fixture(scope="module")
def fast_lane() -> Iterator[Proxied]:
    yield from proxied("fast_lane")


@pytest.fixture(scope="module")
def wsgi() -> Iterator[Proxied]:
    yield from proxied("wsgi")


def plain(request: bytes) -> bytes:
    """The request with the id we made taken out, and its chunks as one: where they are cut is nobody's promise.

    Raises AssertionError unless it is one whole request by our own rules, and nothing more.
    """
    head = parse_request(request, 10**5, 10**5, 1000)
    assert head is not None
    body = decoder(head.framing)
    payload = body.feed(request[head.size :])
    assert (body.done, body.rest) == (True, b"")
    if head.framing == CHUNKED:
        payload = (chunk(payload) if payload else b"") + LAST_CHUNK
    return _MADE_ID.sub(rb"\1{id}\r\n", request[: head.size]) + payload


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@each(CASES)
@pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])
def test_the_server_sees_exactly_this(fast_lane, case, byte_by_byte):
    statuses, answers, seen = fast_lane.send(case.client, byte_by_byte=byte_by_byte)
    assert (statuses, seen) == (case.statuses, case.server)
    if case.reason:
        assert b"(%b)" % case.reason.encode() in answers
        assert b"\r\nConnection: close\r\n" in answers


@each(ACCEPTED)
def test_what_comes_after_is_the_next_request_or_nothing(fast_lane, case):
    statuses, answers, seen = fast_lane.send(case.client + AFTER)
    following = [] if b"\r\nConnection: close\r\n" in answers else [b"GET /after "]
    assert statuses == [200] * len(seen)
    count = len(case.server)
    assert seen[:count] == case.server
    assert [request[:11] for request in seen[count:]] == following


@each([case for case in REFUSED if not case.cut])
def test_what_comes_after_a_refusal_is_no_request(fast_lane, case):
    """What was refused before its end was seen may be refused for another reason with more behind it."""
    statuses, _, seen = fast_lane.send(case.client + AFTER)
    assert statuses[:-1] == case.statuses[:-1]
    assert statuses[-1] >= 400
    assert seen == case.server


@each(REFUSED)
def test_what_came_before_a_refusal_is_answered(fast_lane, case):
    statuses, _, seen = fast_lane.send(AFTER + case.client)
    assert statuses == [200, *case.statuses]
    assert seen[1:] == case.server


@each([case for case in ACCEPTED if case.name not in NOT_BY_PYWSGI])
def test_the_wsgi_app_accepts(wsgi, case):
    statuses, _, seen = wsgi.send(case.client)
    assert statuses == case.statuses
    assert list(map(body_of, seen)) == list(map(body_of, case.server))


@each([case for case in REFUSED if case.name not in NOT_BY_PYWSGI])
def test_the_wsgi_app_forwards_only_whole_requests_and_answers_each(wsgi, case):
    """pywsgi's own parser is lax, and folds a head before we see it; what it lets pass is well-formed again."""
    statuses, _, seen = wsgi.send(case.client)
    assert statuses.count(200) == len(seen)


def body_of(request: bytes) -> bytes:
    return request.partition(b"\r\n\r\n")[2]
