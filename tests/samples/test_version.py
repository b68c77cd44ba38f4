"""What a sample version answers, and what its knobs do."""

import hashlib

import pytest
from werkzeug.test import Client, TestResponse

from samples.version import Version, seconds, server, share
from tests.support.raw import exchange


def get(target, **version):
    return Client(Version("canary", **version)).get(target)


def over_the_wire(request):
    """The bytes a served sample answers; `request` asks it to close."""
    serving = server(Version("stable"))
    serving.start()
    try:
        return exchange(("127.0.0.1", serving.server_port), request)
    finally:
        serving.stop()


def test_says_who_it_is():
    answer = get("/some/page")
    assert answer.text.split()[:3] == ["canary", "GET", "/some/page"]
    assert answer.headers["X-Version"] == "canary"


@pytest.mark.parametrize(
    ("target", "status", "length"),
    [
        ("/?status=503", 503, None),
        ("/?status=204", 204, 0),
        ("/?size=0", 200, 0),
        ("/?size=65536", 200, 65536),
        ("/?size=100001", 200, 100001),
    ],
)
def test_knobs_bend_the_answer(target, status, length):
    answer = get(target)
    assert answer.status_code == status
    assert length is None or len(answer.data) == length


def test_chunks_are_that_many_events():
    answer = get("/?chunks=3&interval=1ms")
    assert answer.mimetype == "text/event-stream"
    assert answer.text == "data: canary 0\n\ndata: canary 1\n\ndata: canary 2\n\n"


def test_slower_is_a_factor_of_all_waits():
    assert get("/?delay=600s", delay=600.0, slower=0.0).status_code == 200


@pytest.mark.parametrize(
    "query", ["status=101", "status=x", "size=-1", "chunks=-1", "delay=soon", "delay=1h"]
)
def test_an_odd_knob_is_refused(query):
    answer = get(f"/?{query}")
    assert answer.status_code == 400
    assert answer.headers["X-Version"] == "canary"


def test_fails_by_its_share():
    draws = iter([0.049, 0.05, 0.9])
    version = Client(Version("canary", fail=0.05, rng=lambda: next(draws)))
    answers: list[TestResponse] = [version.get("/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 200, 200]


def test_echo_keeps_target_and_headers_as_they_came():
    head = b"POST /echo?a;b=%x HTTP/1.1\r\nHost: h\r\nB: 1\r\nA: 2\r\nB: 3\r\nConnection: close\r\n"
    answer = over_the_wire(head + b"Content-Length: 3\r\n\r\n\xff12")
    assert b'"target": "/echo?a;b=%x"' in answer
    assert b'[["Host", "h"], ["B", "1"], ["A", "2"], ["B", "3"],' in answer
    assert b'"body": "\\u00ff12"' in answer


def test_upload_counts_a_chunked_body():
    head = b"POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = over_the_wire(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert b'"bytes": 5' in answer
    assert hashlib.sha256(b"abcde").hexdigest().encode() in answer


def test_head_has_no_body():
    answer = over_the_wire(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


def test_durations_and_shares():
    assert [seconds("250ms"), seconds("2s"), seconds("0.25"), share("1")] == [0.25, 2, 0.25, 1]
    for reader, text in ((seconds, "-1s"), (seconds, ""), (share, "1.1"), (share, "nan")):
        with pytest.raises(ValueError, match=r"is not"):
            reader(text)
