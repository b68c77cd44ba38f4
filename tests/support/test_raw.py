"""The raw exchange and the recording upstream, against each other."""

import pytest

from tests.support.raw import OK, RecordingServer, exchange, request_end

CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"


@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_keeps_the_exact_bytes_of_each_request(byte_by_byte):
    with RecordingServer() as server:
        answer = exchange(server.address, GET + CHUNKED + POST, byte_by_byte=byte_by_byte)
    assert answer == OK * 3
    assert server.connections == [[GET, CHUNKED, POST]]


def test_what_is_not_a_whole_request_is_left_over():
    with RecordingServer() as server:
        assert exchange(server.address, POST + GET[:9], half_close=True) == OK
    assert (server.requests, server.leftovers) == ([POST], [GET[:9]])


def test_closes_after_announcing_it_or_when_it_has_no_answer():
    with RecordingServer(CLOSING) as server:
        assert exchange(server.address, GET + GET, quiet=5) == CLOSING
    with RecordingServer(lambda _request: None) as server:
        assert exchange(server.address, GET) == b""
    assert server.requests == [GET]


def test_silence_is_not_an_answer():
    with RecordingServer() as server, pytest.raises(AssertionError, match="neither"):
        exchange(server.address, GET[:5], deadline=0.05)


@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED])
def test_a_request_ends_at_its_last_byte_and_no_sooner(request_bytes):
    ends = [request_end(request_bytes[:length]) for length in range(len(request_bytes))]
    assert ends == [None] * len(request_bytes)
    assert request_end(request_bytes + b"0\r\n\r\n") == len(request_bytes)
