"""A server that says what a case tells it to, in the pieces a test asks for, and then serves on."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import Peer
from tests.support.raw import request_end

AFTER = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
AFTER_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter"


class Script:
    """`serve` is for an Upstream. `said`: all pieces are sent; `left`: the first connection is over."""

    def __init__(self, request: bytes, pieces: Sequence[bytes], leaves: str = "") -> None:
        self._whole = request_end(request) == len(request)
        self._pieces = pieces
        self._leaves = leaves
        self.said = Event()
        self.left = Event()

    def serve(self, peer: Peer) -> None:
        """Answer until the proxy leaves; AFTER is answered at any time."""
        try:
            while self._answer(peer, self._read(peer)):
                pass
            if self._leaves == "reset":
                peer.reset()
        finally:
            peer.socket.close()
            self.left.set()

    def _read(self, peer: Peer) -> bytes:
        """An upload that is not whole is answered all the same."""
        request = peer.head()
        while self._whole and request_end(request) is None:
            request += peer.exactly(1)
        return request

    def _answer(self, peer: Peer, request: bytes) -> bool:
        """True: wait for the next request."""
        if b" /after " in request:
            peer.send(AFTER_ANSWER)
            return True
        self._say(peer)
        if not self._leaves and not self._whole:
            peer.rest()
        return not self._leaves

    def _say(self, peer: Peer) -> None:
        try:
            for piece in self._pieces:
                peer.send(piece)
                gevent.idle()  # unlike sleep(0), lets the proxy see this piece before the next
        finally:
            self.said.set()


def closes_cleanly(peer: Peer) -> bool:
    """The client has said all it had to say: does the proxy end the connection, and with nothing more?"""
    peer.socket.shutdown(socket.SHUT_WR)
    return peer.rest() == b""
