"""The load counts every loss, and nothing else as one."""

import pytest

from tests.support.load import Load
from tests.support.raw import RecordingServer

ANSWER = b"HTTP/1.1 200 OK\r\nX-Version: stable\r\nContent-Length: 2\r\n\r\nok"
CLOSING = ANSWER.replace(b"X-V", b"Connection: close\r\nX-V")
CHUNKED = b"HTTP/1.1 200 OK\r\nX-Version: stable\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n0\r\n\r\n"


def load(answer):
    with RecordingServer(answer) as server, Load(server.address, clients=3, pause=0.001) as running:
        running.wait_requests(20)
    return running.result


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
def test_clients_keep_their_connections(answer):
    result = load(answer)
    assert (result.lost, result.failures, result.connections) == (0, [], 3)
    assert result.versions == {"stable": result.requests}
    assert result.statuses == {"200": result.requests}


def test_an_announced_close_is_no_loss():
    result = load(CLOSING)
    assert (result.lost, result.connections) == (0, result.requests)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        ANSWER.replace(b"200 OK", b"503 No"),
        CLOSING[:-1],
        CLOSING.replace(b"Content-Length: 2\r\n", b""),
        ANSWER + b"!",
        b"nonsense\r\n\r\n",
    ],
    ids=["no answer", "status", "cut", "no length", "too much", "nonsense"],
)
def test_everything_else_is(answer):
    result = load(lambda _request: answer)
    assert result.lost == result.requests > 0
    assert result.failures
