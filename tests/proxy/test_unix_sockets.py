"""Servers on unix sockets."""

from __future__ import annotations

import socket as plain_socket
from pathlib import Path

from gevent import socket
from gevent.server import StreamServer

from tests.proxy.peer import GET, LAST_GET
from tests.proxy.rig import Rig
from tests.proxy.test_servers import error_of
from tests.support.raw import RecordingServer, exchange


class UnixUpstream(RecordingServer):
    """A RecordingServer on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self._server = StreamServer(listener, self._serve_unix)
        self._path = path

    @property
    def url(self) -> str:
        return f"unix:{self._path}"

    def _serve_unix(self, connection: socket.socket, _peer: object) -> None:
        buffer, requests = bytearray(), []
        self.connections.append(requests)
        while self._serve_one(connection, buffer, requests):
            pass


def test_asks_a_server_on_a_unix_socket(front, tmp_path):
    with UnixUpstream(tmp_path / "s") as server, Rig(front, server.url) as rig, rig.client() as client:
        for _ in range(2):
            assert client.send(GET).head().startswith(b"HTTP/1.1 200 ")
            client.exactly(2)
    assert len(server.connections) == 1
    assert b"\r\nHost: a\r\n" in server.requests[0]


def test_a_client_without_a_host_asks_for_localhost(tmp_path):
    with UnixUpstream(tmp_path / "s") as server, Rig("fast_lane", server.url) as rig:
        exchange(rig.address, b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nHost: localhost\r\n" in server.requests[0]


def test_a_unix_socket_that_is_not_there_is_a_503(front, tmp_path):
    with Rig(front, f"unix:{tmp_path}/s") as rig:
        answer = exchange(rig.address, LAST_GET)
    assert error_of(answer) == (b"503", b"unreachable")
    assert str(tmp_path).encode() not in answer


def test_a_unix_socket_whose_queue_is_full_is_waited_for(tmp_path):
    with plain_socket.socket(plain_socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        held = plain_socket.socket(plain_socket.AF_UNIX)
        held.connect(str(tmp_path / "s"))
        with Rig("fast_lane", f"unix:{tmp_path}/s", timeouts={"connect": 0.1}) as rig:
            assert error_of(exchange(rig.address, LAST_GET)) == (b"504", b"connect_timeout")
        held.close()
