"""The front's listener, and what its connections have from it."""

from __future__ import annotations

from gevent import socket

from app.server import UNSENT
from tests.proxy.peer import GET
from tests.proxy.rig import Rig
from tests.support.raw import RecordingServer


def test_the_kernel_takes_little_of_an_answer_that_nobody_reads():
    with RecordingServer() as server, Rig("fast_lane", server.url) as rig, rig.client() as client:
        client.send(GET).read_until(b"ok")
        (lane,) = rig.gateway.lanes
        assert lane.stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT
