"""The least of WebSocket (RFC 6455) that tests need, and strict: what is not as it must be fails an assertion.

    with connect(stack.address) as client:
        client.send(b"hello")
        assert client.receive() == b"hello"
        client.close()

`echo` serves an Upstream in this process; `EchoServer` is one in a process of its own. No extensions, no
subprotocols, all messages binary. One greenlet may send while another receives, if the other side never pings.
"""

from __future__ import annotations

import os
import struct
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import partial
from hashlib import sha1
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from tests.proxy.peer import Peer
from tests.support.processes import Process, answers, python
from tests.support.raw import Address

# RFC 6455, 5.2.
CONTINUATION, BINARY, CLOSE, PING, PONG = 0, 2, 8, 9, 10
FINAL, RESERVED, OPCODE, CONTROL = 0x80, 0x70, 0x0F, 0x08
MASKED, SIZE = 0x80, 0x7F

# How a larger size is written, by what stands in its place, and the least that may be written so.
LARGER = {126: ("!H", 126), 127: ("!Q", 65536)}

# RFC 6455, 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# RFC 9110, 15.5.22: what a server says that speaks nothing but WebSocket.
UPGRADE_REQUIRED = (
    b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"
)


class Frame(NamedTuple):
    """One frame, unmasked."""

    opcode: int
    payload: bytes
    final: bool = True


def encode(frame: Frame, mask: bytes = b"") -> bytes:
    """The frame's bytes; `mask`: the four bytes of a client's masking key."""
    size = len(frame.payload)
    code = next((code for code, (_, least) in reversed(LARGER.items()) if size >= least), size)
    extended = struct.pack(LARGER[code][0], size) if code in LARGER else b""
    first, second = frame.opcode | (FINAL * frame.final), code | (MASKED * bool(mask))
    return bytes((first, second)) + extended + mask + (masked(frame.payload, mask) if mask else frame.payload)


def masked(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455, 5.3; also its own reverse. Two large numbers, for byte by byte would take all of a test's time."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)


def split(message: bytes, count: int) -> list[Frame]:
    """The message in so many frames (RFC 6455, 5.4)."""
    bounds = [len(message) * number // count for number in range(count + 1)]
    return [
        Frame(CONTINUATION if start else BINARY, message[slice(*ends)], start == count - 1)
        for start, ends in enumerate(pairwise(bounds))
    ]


class WebSocket:
    """One end after the handshake. `fields`: what the other side's head said, by name in small letters.

    `closed`: the code of the other side's good-bye, 1005 if it gave none (RFC 6455, 7.4.1). `pongs` came so far.
    """

    def __init__(self, peer: Peer, fields: Mapping[str, str], *, is_client: bool) -> None:
        self.peer = peer
        self.fields = fields
        self.pongs: list[bytes] = []
        self.closed: int | None = None
        self._is_client = is_client
        self._said_close = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.peer.socket.close()

    def send(self, message: bytes, fragments: int = 1) -> Self:
        for frame in split(message, fragments):
            self._write(frame)
        return self

    def ping(self, payload: bytes = b"") -> None:
        self._write(Frame(PING, payload))

    def receive(self) -> bytes | None:
        """The next message; None when the other side has said good-bye, and has been answered.

        Raises AssertionError when it ends without, OSError on a reset.
        """
        parts: list[bytes] = []
        while True:
            frame = self._read()
            if frame.opcode & CONTROL:
                self._heed(frame)
                if self.closed is not None:
                    return None
                continue
            assert frame.opcode == (CONTINUATION if parts else BINARY), frame.opcode
            parts.append(frame.payload)
            if frame.final:
                return b"".join(parts)

    def say_close(self, payload: bytes) -> None:
        self._said_close = True
        self._write(Frame(CLOSE, payload))

    def close(self, code: int = 1000) -> None:
        """The whole closing handshake (RFC 6455, 7): nothing may come but the answer and the connection's end."""
        self.say_close(code.to_bytes(2))
        assert self.receive() is None
        assert self.closed == code
        assert self.peer.rest() == b""
        self.peer.socket.close()

    def _heed(self, frame: Frame) -> None:
        if frame.opcode == PING:
            self._write(Frame(PONG, frame.payload))
        elif frame.opcode == PONG:
            self.pongs.append(frame.payload)
        else:
            assert frame.opcode == CLOSE, frame.opcode
            self.closed = int.from_bytes(frame.payload[:2]) if frame.payload else 1005
            if not self._said_close:
                self.say_close(frame.payload)

    def _write(self, frame: Frame) -> None:
        self.peer.send(encode(frame, os.urandom(4) if self._is_client else b""))

    def _read(self) -> Frame:
        first, second = self.peer.exactly(2)
        opcode, final, size = first & OPCODE, bool(first & FINAL), second & SIZE
        assert not first & RESERVED
        assert bool(second & MASKED) != self._is_client, "5.1: a client masks, a server does not"
        assert not opcode & CONTROL or (final and size < 126), "5.5: control frames are short and whole"
        if size in LARGER:
            code, least = LARGER[size]
            (size,) = struct.unpack(code, self.peer.exactly(struct.calcsize(code)))
            assert size >= least, "5.2: in as few bytes as can be"
        mask = b"" if self._is_client else self.peer.exactly(4)
        payload = self.peer.exactly(size)
        return Frame(opcode, masked(payload, mask) if mask else payload, final)


def connect(address: Address, target: str = "/", fields: Mapping[str, str] | None = None) -> WebSocket:
    """A client on a connection of its own. Raises AssertionError when it is refused."""
    sock = socket.create_connection(address, timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return open_on(Peer(sock), target, fields)
    except BaseException:
        sock.close()
        raise


def open_on(peer: Peer, target: str = "/", fields: Mapping[str, str] | None = None) -> WebSocket:
    """The client's side of the handshake (RFC 6455, 4.1)."""
    key = b64encode(os.urandom(16))
    peer.send(handshake(key, target, fields))
    line, answer = parse(peer.head())
    assert line.startswith("HTTP/1.1 101 "), line
    assert answer["upgrade"].lower() == "websocket", answer
    assert answer["connection"].lower() == "upgrade", answer
    assert answer["sec-websocket-accept"].encode() == accept_value(key), answer
    assert not answer.keys() & {"sec-websocket-extensions", "sec-websocket-protocol"}, answer
    return WebSocket(peer, answer, is_client=True)


def handshake(key: bytes, target: str = "/", fields: Mapping[str, str] | None = None) -> bytes:
    """What a client asks with."""
    lines = {
        "Host": "chat.example",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
        **(fields or {}),
    }
    head = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, "", ""]).encode()


def accept_value(key: bytes) -> bytes:
    """What proves that a server has understood the key."""
    return b64encode(sha1(key + GUID).digest())


def parse(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line, and the fields by name in small letters."""
    line, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    return line, {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}


def accept(peer: Peer, name: str = "") -> WebSocket:
    """The server's side of the handshake (RFC 6455, 4.2), by a server with this name.

    Other requests before it are refused. Raises AssertionError when it is wrong or none comes.
    """
    line, fields = parse(peer.head())
    while fields.get("upgrade") != "websocket" or fields.get("sec-websocket-version") != "13":
        peer.send(UPGRADE_REQUIRED)
        line, fields = parse(peer.head())
    assert line.startswith("GET "), line
    assert fields["connection"].lower() == "upgrade", fields
    key = fields["sec-websocket-key"].encode()
    assert len(b64decode(key, validate=True)) == 16, key
    peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\nX-Version: %b\r\n\r\n" % (accept_value(key), name.encode())
    )
    return WebSocket(peer, fields, is_client=False)


def echo(peer: Peer, name: str = "") -> None:
    """One connection of a server that gives every message back."""
    server = accept(peer, name)
    while (message := server.receive()) is not None:
        server.send(message)


class EchoServer(Process):
    """An echo server in its own process, which is ready when it refuses what is not WebSocket."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        command = python("tests.support.websocket", "serve", name, str(port))
        ready = answers(f"http://127.0.0.1:{port}/", 426)
        super().__init__(command, folder / f"{name}-{port}.log", ready=ready)
        self.url = f"http://127.0.0.1:{port}"


def stay(port: str) -> None:
    """A client that says nothing."""
    connect(("127.0.0.1", int(port))).receive()


def serve(name: str, port: str) -> None:
    """An echo server, for ever."""
    StreamServer(("127.0.0.1", int(port)), partial(serve_one, name), spawn=Pool()).serve_forever()


def serve_one(name: str, sock: socket.socket, _address: Address) -> None:
    """What is wrong on one connection ends that."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        echo(Peer(sock), name)
    except (OSError, AssertionError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    {"serve": serve, "stay": stay}[sys.argv[1]](*sys.argv[2:])
