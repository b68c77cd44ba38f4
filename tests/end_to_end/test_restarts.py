"""New code while clients are served: another process takes over the port, or gunicorn renews its workers."""

from __future__ import annotations

import os
import signal

import pytest
from gevent import socket
from gevent.event import Event

from tests.proxy.peer import GET, Peer, Upstream
from tests.proxy.test_tunnels import ASK, SWITCH
from tests.support.load import Load
from tests.support.processes import answers, fetch, wait_until
from tests.support.raw import OK
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

# So often a process takes over; gunicorn renews its workers half as often. More by the environment.
RESTARTS = int(os.environ.get("RESTARTS", "2"))


def takeover(stack, number):
    """A next process on the same port; the one before it is told to go once it serves."""
    successor = stack.proxy(f"web-{number}", "fast_lane", stack.port, stack.admin_port, {"REUSE_PORT": "on"})
    successor._ready = lambda: "serving on" in successor.output()
    successor.start()
    former, stack.web = stack.web, successor
    assert former.terminate() == 0
    return former


def test_a_next_process_takes_over_the_port(tmp_path):
    """Connections of every age: kept alive all the time, and a new one for each request."""
    with Stack(tmp_path, env={"REUSE_PORT": "on"}) as stack:
        with Load(stack.address, clients=32) as kept, Load(stack.address, clients=16, close=True) as new:
            for number in range(RESTARTS):
                kept.wait_requests(200)
                former = takeover(stack, number)
                assert "Traceback" not in former.output()
        for load in (kept, new):
            print(f"{load.result.requests} requests, {load.result.connections} connections")
            assert load.result.failures == []
            assert load.result.statuses == {"200": load.result.requests}


@pytest.mark.parametrize("front", ["worker", "stock"])
def test_gunicorn_renews_its_workers(tmp_path, front):
    with Stack(tmp_path, front=front) as stack:
        with Load(stack.address, clients=32) as kept, Load(stack.address, clients=16, close=True) as new:
            for _ in range(RESTARTS // 2):
                before = workers(stack)
                stack.web.send(signal.SIGHUP)
                wait_until(lambda before=before: not workers(stack) & before, 60, what="others", pause=0.1)
                kept.wait_requests(200)
        for load in (kept, new):
            print(f"{front}: {load.result.requests} requests, {load.result.connections} connections")
            assert load.result.failures == []
            assert load.result.statuses == {"200": load.result.requests}
        assert "Traceback" not in stack.web.output()


def workers(stack):
    """Those that answer for the service; each question on a connection of its own, for they come and go."""
    answer = fetch("GET", f"{stack.admin_url}/status")
    assert answer.status_code == 200, answer.text
    return {worker["pid"] for worker in answer.json()["workers"]}


def test_requests_under_way_have_their_time_and_tunnels_are_told_last(tmp_path):
    answered = Event()

    def serve(peer: Peer) -> None:
        if b"Upgrade" in peer.head():
            peer.send(SWITCH)
            while data := peer.some():
                peer.send(data)
        answered.wait(20)
        peer.send(OK)

    with Upstream(serve) as server, Stack(tmp_path, config=alone(server)) as stack:
        with client(stack).send(GET) as slow, client(stack).send(ASK) as tunnel, client(stack) as idle:
            tunnel.head()
            wait_until(lambda: busy(stack) == 2, what="both under way")
            stack.web.send(signal.SIGTERM)
            wait_until(lambda: fetch("GET", f"{stack.admin_url}/readyz").status_code == 503, what="draining")
            with pytest.raises(OSError, match="refused"):
                stack.get("/")
            assert idle.rest() == b""
            assert tunnel.send(b"still here").exactly(10) == b"still here"
            answered.set()
            assert b"\r\nConnection: close\r\n" in slow.head()
            assert tunnel.rest() == b""
        wait_until(lambda: not stack.web.running, what="its end")


def alone(server):
    return {"stable": {"servers": [{"url": server.url}]}, "canary": {}, "ratio": 0}


def client(stack):
    return Peer(socket.create_connection(stack.address, timeout=10))


def test_what_takes_longer_than_the_grace_is_cut(tmp_path):
    with Stack(tmp_path, config={"ratio": 0}, env={"GRACE": "1"}) as stack, client(stack) as slow:
        slow.send(b"GET /?delay=60s HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: busy(stack) == 1, what="it under way")
        assert stack.web.terminate(deadline=5) == 0
        with pytest.raises((OSError, AssertionError)):
            slow.head()


def busy(stack):
    versions = stack.status()["versions"].values()
    return sum(server["in_flight"] for version in versions for server in version["servers"])


def test_without_being_told_to_share_a_port_has_one_process(tmp_path):
    with Stack(tmp_path) as stack:
        second = stack.proxy("second", "fast_lane", stack.port, 0)
        second._ready = None
        second.start()
        wait_until(lambda: not second.running, what="its end")
        assert "cannot serve" in second.output()
        assert answers(stack.url)()
