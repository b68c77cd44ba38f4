"""HTTP/2 at the front, as gunicorn has it: the server behind sees plain HTTP/1.1."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from gevent import socket
from gevent import subprocess as gevent_subprocess

from tests.support.gunicorn import folded, stock_gunicorn
from tests.support.http2 import Http2Client
from tests.support.processes import Process
from tests.support.raw import OK, RecordingServer
from tests.support.tls import issue, write_authority

pytestmark = pytest.mark.end_to_end

BLOCK = os.urandom(65536)
LARGE = BLOCK * 32
ANSWERS = {
    "/large": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LARGE), LARGE),
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\npart",
    "/hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK,
    "/close": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nConnection: close\r\n\r\nuntil the end",
    "/nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
}


class Front(NamedTuple):
    """gunicorn, where it listens, what the server behind it saw, and the authority that its certificate is of."""

    process: Process
    port: int
    seen: list[bytes]
    authority: str

    def client(self) -> Http2Client:
        return Http2Client(("127.0.0.1", self.port))

    def curl(self, *arguments: str, path: str = "/", data: bytes = b"") -> bytes:
        """What curl prints. Raises CalledProcessError when it fails."""
        url = f"https://localhost:{self.port}{path}"
        command = [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            self.authority,
            "--max-time",
            "20",
            *arguments,
            url,
        ]
        return gevent_subprocess.run(command, input=data, capture_output=True, check=True).stdout

    def last(self) -> bytes:
        """The last request that the server saw."""
        return self.seen[-1]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder: Path = tmp_path_factory.mktemp("gunicorn")
    cert, key = issue(folder)
    env = {"HTTP2": "on", "TLS_CERT": str(cert), "TLS_KEY": str(key)}
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return ANSWERS.get(request.split(b" ")[1].decode(), OK)

    with RecordingServer(answer) as server:
        process, port = stock_gunicorn(folder, server.url, env=env, limits={"body_bytes": len(LARGE)})
        with process:
            yield Front(process, port, seen, write_authority(folder))
        assert "Traceback" not in process.output()


def test_a_request_becomes_one_of_http_1(front):
    assert front.curl("--http2", "-w", " %{http_version}", path="/a?b=%20;c") == b"ok 2"
    request = front.last()
    assert request.startswith(b"GET /a?b=%20;c HTTP/1.1\r\n")
    assert set(folded(request).fields) == {b"host", b"user-agent", b"accept"}
    assert folded(request).fields[b"host"] == b"localhost:%d" % front.port
    assert b"\r\nX-Forwarded-Proto: https\r\n" in request


def test_http_1_is_spoken_on_the_same_port(front):
    assert front.curl("--http1.1", "-w", " %{http_version}") == b"ok 1.1"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_is_not(front, version):
    with pytest.raises(subprocess.CalledProcessError):
        front.curl("--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0")


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_client_that_does_not_shake_hands_is_no_news(front, hello):
    """That nothing is in the log is seen at the end."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as client:
        client.sendall(hello)
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            assert not client.recv(65536).startswith(b"HTTP/1.1 2")
    assert front.curl("--http2") == b"ok"


@pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("said", [True, False], ids=["with a length", "of unknown length"])
def test_an_upload_arrives_whole(front, body, said):
    arguments = ["--data-binary", "@-"] if said else ["-T", "-", "-X", "POST"]
    assert front.curl("--http2", *arguments, data=body) == b"ok"
    request = folded(front.last())
    assert hashlib.sha256(request.body).digest() == hashlib.sha256(body).digest()
    framed = request.fields.keys() & {b"content-length", b"transfer-encoding"}
    assert len(framed) == (1 if body or said else 0)


def test_a_download_arrives_whole(front):
    assert front.curl("--http2", path="/large") == LARGE
    assert front.curl("--http2", path="/close") == b"until the end"


def test_fields_of_an_answer_stay_apart(front):
    answer = front.curl("--http2", "-D", "-", path="/close")
    assert [line for line in answer.split(b"\r\n") if b"cookie" in line] == [
        b"set-cookie: a=1",
        b"set-cookie: b=2",
    ]


def test_many_streams_at_once(front):
    parallel = [
        "--parallel",
        "--parallel-max",
        "50",
        "-w",
        "%{http_code} %{num_connects}\n",
        "-o",
        "/dev/null",
    ]
    lines = front.curl("--http2", *parallel, path="/?[1-200]").split(b"\n")[:-1]
    assert len(lines) == 200
    assert {line.split(b" ")[0] for line in lines} == {b"200"}


def test_streams_share_a_connection(front):
    with front.client() as client:
        streams = [client.ask(path="/large" if number % 2 else "/") for number in range(20)]
        answers = client.wait(*streams)
    assert [answer.body for answer in answers] == [b"ok", LARGE] * 10


def test_trailers_are_dropped(front):
    with front.client() as client:
        stream = client.ask([("trailer", "x-sum")], method="POST", body=b"abc")
        assert client.wait(client.end(stream, [("x-sum", "1"), ("content-length", "9")]))[0].status == 200
    assert folded(front.last()) == (
        b"POST / HTTP/1.1",
        {b"host": b"localhost", b"content-length": b"3"},
        b"abc",
    )


def test_values_arrive_byte_for_byte(front):
    with front.client() as client:
        client.wait(
            client.ask([("x-name", "é€"), ("cookie", "a=1"), ("cookie", "b=2,3"), ("x-a", "1"), ("x-a", "2")])
        )
    fields = folded(front.last()).fields
    assert fields[b"x-name"] == "é€".encode()
    assert fields[b"cookie"] == b"a=1; b=2,3"
    assert fields[b"x-a"] == b"1,2"


REFUSED = {
    "another authority in the path": ({"path": "http://evil/"}, 400),
    "a path that is none": ({"path": "evil"}, 400),
    "a space in the path": ({"path": "/ HTTP/1.1"}, 400),
    "a fragment": ({"path": "/#a"}, 400),
    "CONNECT": ({"method": "CONNECT"}, None),
    "a long path": ({"path": "/" + "a" * 8300}, None),
    "the end of a line in a value": ({"fields": [("x", "a\r\nb: c")]}, None),
    "a name that is none": ({"fields": [("x y", "a")]}, None),
    "chunks": ({"fields": [("transfer-encoding", "chunked")]}, None),
    "an upgrade": ({"fields": [("upgrade", "websocket"), ("connection", "upgrade")]}, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(front, name):
    """Some by us, with a status; some by gunicorn, which resets the stream or ends the connection."""
    request, status = REFUSED[name]
    before = len(front.seen)
    with front.client() as client:
        if status is not None:
            assert client.wait(client.ask(**request))[0].status == status
        else:
            with pytest.raises(AssertionError, match=r"ended|None"):
                assert client.wait(client.ask(**request))[0].reset is None
    assert len(front.seen) == before


@pytest.mark.parametrize("fields", [[], [("content-length", "9000000")]], ids=["unsaid", "said"])
def test_a_body_too_large_is_refused_and_the_connection_goes_on(front, fields):
    with front.client() as client:
        asked = (
            client.ask(fields, method="POST", body=b"") if fields else client.upload(len(LARGE) + len(BLOCK))
        )
        assert client.wait(asked)[0].status == 413
        assert client.wait(client.ask())[0].body == b"ok"


def test_a_cut_answer_resets_its_stream_alone(front):
    with front.client() as client:
        cut, whole = client.wait(client.ask(path="/cut"), client.ask())
        assert cut.reset
        assert whole.body == b"ok"


def test_hints_are_passed_on(front):
    with front.client() as client:
        (answer,) = client.wait(client.ask(path="/hints"))
    assert answer.interim == [{":status": "103", "link": "</a.css>"}]
    assert answer.body == b"ok"


def test_no_content(front):
    with front.client() as client:
        (answer,) = client.wait(client.ask(path="/nothing"))
    assert (answer.status, answer.body) == (204, b"")


def test_a_request_that_is_taken_back_reaches_no_server_whole(front):
    before = len(front.seen)
    with front.client() as client:
        stream = client.ask(method="POST", body=b"x" * 10_000)
        client.http.reset_stream(stream)
        client.flush()
        assert client.wait(client.ask())[0].body == b"ok"
    assert [folded(request).line for request in front.seen[before:]] == [b"GET / HTTP/1.1"]


def test_a_client_that_leaves_frees_its_server(front):
    with front.client() as client:
        client.ask(path="/large")
        client.receive()
    assert front.curl("--http2") == b"ok"
