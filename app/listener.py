"""Listening sockets: opened, shared with other processes, and left without losing who is at the door."""

from __future__ import annotations

import ctypes
import logging
import struct

from gevent import socket

log = logging.getLogger(__name__)

# asm/socket.h; Python has no name for it.
SO_ATTACH_FILTER = 26

# Classic BPF (kernel.org, networking/filter.rst) over a TCP segment: code, jump if true, jump if false, operand.
# Drops a SYN without ACK (RFC 9293, 3.1: flags in byte 13), which is an attempt at a new connection, and no other.
NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load byte 13
    (0x54, 0, 0, 0x12),  # keep SYN and ACK of it
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF),  # pass
)


def listen(host: str, port: int, backlog: int, *, shared: bool) -> socket.socket:
    """A listening socket. `shared`: other processes of the same user may listen there too, if they all say so.

    Raises OSError when the address is not to be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def turn_away(listener: socket.socket) -> None:
    """Have the kernel ignore new clients here, and finish the handshakes that have begun.

    A client who is ignored tries again a second later by itself, and so meets another listener on the same
    port when this one has been closed meanwhile. If this one were just closed, the handshakes that are under
    way would be reset.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in NO_NEWCOMERS)
    steps = ctypes.create_string_buffer(program)
    try:
        filter_ = struct.pack("HP", len(NO_NEWCOMERS), ctypes.addressof(steps))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
    except OSError as error:
        log.warning("who comes just now may be turned away: %s", error.strerror)
