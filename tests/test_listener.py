"""Listening sockets that are shared, and how one of them is left."""

from __future__ import annotations

import pytest
from gevent import socket

from app.listener import listen, turn_away
from tests.support.processes import wait_until

HOST = "127.0.0.1"


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def knock(port: int) -> socket.socket:
    """Somebody at the door: the handshake has begun."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex((HOST, port))
    return client


def test_a_port_is_nobody_elses_unless_all_share_it() -> None:
    with listen(HOST, 0, 8, shared=False) as one, pytest.raises(OSError, match="in use"):
        listen(HOST, port_of(one), 8, shared=True)
    with listen(HOST, 0, 8, shared=True) as one:
        listen(HOST, port_of(one), 8, shared=True).close()
        with pytest.raises(OSError, match="in use"):
            listen(HOST, port_of(one), 8, shared=False)


def test_both_families() -> None:
    with listen("::1", 0, 8, shared=False) as listener:
        socket.create_connection(("::1", port_of(listener)), timeout=5).close()


def test_who_was_at_the_door_comes_in_and_who_comes_later_meets_the_next_listener() -> None:
    with listen(HOST, 0, 8, shared=True) as one:
        port = port_of(one)
        with knock(port) as early:
            turn_away(one)
            with knock(port) as late:
                one.settimeout(5)
                accepted, address = one.accept()
                assert address == early.getsockname()
                accepted.close()
                one.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    one.accept()
                with listen(HOST, port, 8, shared=True) as other:
                    one.close()
                    other.settimeout(10)
                    accepted, address = other.accept()  # the kernel of `late` has tried again by itself
                    assert address == late.getsockname()
                    accepted.close()


def test_connections_that_were_accepted_are_not_touched() -> None:
    with listen(HOST, 0, 8, shared=True) as one, knock(port_of(one)) as client:
        one.settimeout(5)
        accepted, _ = one.accept()
        turn_away(one)
        wait_until(lambda: client.send(b"hello"), what="sent")
        assert accepted.recv(10) == b"hello"
        accepted.close()
