"""The examples of RFC 6455, and that what is not as it must be does not pass."""

from __future__ import annotations

import pytest
from gevent import socket

from tests.proxy.peer import Peer
from tests.support.websocket import BINARY, CONTINUATION, PING, Frame, WebSocket, accept_value, encode, split

TEXT = 1
MASK = bytes.fromhex("37fa213d")

# RFC 6455, 5.7.
EXAMPLES = {
    "8105 48656c6c6f": encode(Frame(TEXT, b"Hello")),
    "8185 37fa213d 7f9f4d5158": encode(Frame(TEXT, b"Hello"), MASK),
    "0103 48656c": encode(Frame(TEXT, b"Hel", final=False)),
    "8002 6c6f": encode(Frame(CONTINUATION, b"lo")),
    "8905 48656c6c6f": encode(Frame(PING, b"Hello")),
    "827e 0100": encode(Frame(BINARY, bytes(256)))[:4],
    "827f 0000000000010000": encode(Frame(BINARY, bytes(65536)))[:10],
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_frames_are_as_in_the_examples(example):
    assert EXAMPLES[example] == bytes.fromhex(example)


def test_the_handshake_is_as_in_the_example():
    assert accept_value(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # 1.3


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("client_sends", [True, False])
def test_a_message_is_received_as_it_was_sent(size, count, client_sends):
    message = bytes(number % 251 for number in range(size))
    left, right = socket.socketpair()
    sender = WebSocket(Peer(left), {}, is_client=client_sends)
    receiver = WebSocket(Peer(right), {}, is_client=not client_sends)
    with sender, receiver:
        sender.send(message, count)
        assert receiver.receive() == message


def test_a_message_is_split_into_as_many_frames_as_asked_for():
    assert split(b"abcd", 1) == [Frame(BINARY, b"abcd")]
    assert split(b"abcd", 3) == [
        Frame(BINARY, b"a", final=False),
        Frame(CONTINUATION, b"b", final=False),
        Frame(CONTINUATION, b"cd"),
    ]


FAULTY = {
    "masked by a server": "8281 00000000 61",
    "a reserved bit": "c201 61",
    "an unknown opcode": "8301 61",
    "a ping in fragments": "0901 61",
    "a ping of 126 bytes": "897e 007e" + "61" * 126,
    "a size in more bytes than it needs": "827e 0001 61",
    "a fragment of nothing": "8001 61",
    "a message within a message": "0201 61 8201 61",
    "cut": "8202 61",
}


@pytest.mark.parametrize("data", FAULTY.values(), ids=FAULTY)
def test_what_is_faulty_does_not_pass(data):
    left, right = socket.socketpair()
    with WebSocket(Peer(left), {}, is_client=True) as client, right:
        right.sendall(bytes.fromhex(data))
        right.shutdown(socket.SHUT_WR)
        with pytest.raises(AssertionError):
            client.receive()
