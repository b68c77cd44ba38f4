"""Every case through stock gunicorn, whose parser comes before ours and has rules of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.corpus.cases import Case, load
from tests.support.gunicorn import Folded, folded, stock_gunicorn
from tests.support.raw import OK, RecordingServer, exchange, request_end

pytestmark = pytest.mark.end_to_end

CASES = load()
AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"

# What gunicorn takes although we would not, each harmless to the server behind, and why.
_LEAST_LIMIT = "the document's least limits.target_bytes is 256, and the corpus has 200"
_FOLDED = "fields of one name are one when we count them"
LAXER = {
    "chunk_size_17_digits": "leading zeros are dropped without a limit but the line's",
    "chunk_size_line_too_long": "a limit of its own, for extensions that it drops",
    "trailer_too_long": "a limit of its own, for trailers that it drops",
    "pipeline_head_too_large_in_the_middle": _FOLDED,
    "too_many_fields": _FOLDED,
    "pipeline_target_too_long_in_the_middle": _LEAST_LIMIT,
    "target_one_too_long": _LEAST_LIMIT,
    "target_too_long": _LEAST_LIMIT,
}

# What gunicorn does not take, and why.
STRICTER = {
    "expect_glued": "417 for any expectation but 100-continue",
    "expect_unknown": "417 for any expectation but 100-continue",
    "keep_alive_1_0_among_others": "keep-alive must stand alone in Connection",
    "trailer_coding": "400 for a trailer that frames or routes",
    "trailer_provenance": "400 for a trailer that frames or routes",
    "trailers": "400 for a trailer that frames or routes",
}

# What is accepted, and reaches the server in other words.
DIFFERENT = {
    "two_request_ids": "two lines are one value with a comma, which is an id like any other",
}

EXCEPTIONS = LAXER | STRICTER | DIFFERENT

LIMITS = {"head_bytes": 2048, "target_bytes": 256, "headers": 20, "body_bytes": 1000}
_STATUS = re.compile(rb"(?:^|\r\n|ok|\n)HTTP/1\.[0-9] ([2-5][0-9]{2}) ")


class Gunicorn:
    """A gunicorn with its own gevent worker, and what the server behind it saw."""

    def __init__(self, port: int, seen: list[bytes]) -> None:
        self._address = ("127.0.0.1", port)
        self._seen = seen

    def send(self, data: bytes, *, byte_by_byte: bool = False) -> tuple[list[int], list[Folded]]:
        """The statuses of the answers, and the requests that the server saw, each of them whole."""
        self._seen.clear()
        answers = exchange(self._address, data, byte_by_byte=byte_by_byte, half_close=True)
        assert [request_end(request) for request in self._seen] == list(map(len, self._seen))
        return [int(status) for status in _STATUS.findall(answers)], list(map(folded, self._seen))


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return OK

    folder = tmp_path_factory.mktemp("gunicorn")
    with RecordingServer(answer) as server:
        process, port = stock_gunicorn(folder, server.url, limits=LIMITS)
        with process:
            yield Gunicorn(port, seen)
        assert "Traceback" not in process.output()


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


in_pieces = pytest.mark.parametrize("byte_by_byte", [False, True], ids=["whole", "bytes"])


@in_pieces
@each([case for case in CASES if not case.reason and case.name not in EXCEPTIONS])
def test_the_server_sees_the_same(gunicorn, case, byte_by_byte):
    assert gunicorn.send(case.client, byte_by_byte=byte_by_byte) == (
        case.statuses,
        list(map(folded, case.server)),
    )


@each([case for case in CASES if not case.cut and case.name not in EXCEPTIONS])
def test_what_comes_after_is_the_next_request_or_nothing(gunicorn, case):
    statuses, seen = gunicorn.send(case.client + AFTER)
    count = len(case.server)
    assert statuses.count(200) == len(seen)
    assert seen[:count] == list(map(folded, case.server))
    following = [request.line for request in seen[count:]]
    assert following in ([], [b"GET /after HTTP/1.1"][bool(case.reason) :])


@in_pieces
@each([case for case in CASES if case.reason and case.name not in EXCEPTIONS])
def test_is_refused(gunicorn, case, byte_by_byte):
    statuses, seen = gunicorn.send(case.client, byte_by_byte=byte_by_byte)
    assert seen == list(map(folded, case.server))
    assert statuses[: len(seen)] == [200] * len(seen)
    refusals = statuses[len(seen) :]
    if refusals or whole_head(case):
        assert [status // 100 in (4, 5) for status in refusals] == [True]


@each([case for case in CASES if case.name in EXCEPTIONS])
def test_an_exception_is_one_and_only_whole_requests_are_forwarded(gunicorn, case):
    statuses, seen = gunicorn.send(case.client)
    assert (statuses, seen) != (case.statuses, list(map(folded, case.server)))
    assert statuses.count(200) == len(seen)


def whole_head(case: Case) -> bool:
    """A client that leaves before the end of a head is left by gunicorn without a word."""
    return case.reason != "head_cut" and b"\r\n\r\n" in case.client.removeprefix(b"\r\n")
