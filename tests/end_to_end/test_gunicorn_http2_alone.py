"""HTTP/2 at the front of a gunicorn of the test's own: its begin, its end, and servers that answer too soon."""

from __future__ import annotations

import signal

import gevent
import pytest
from gevent.event import Event

from tests.proxy.peer import Peer, Upstream
from tests.support.gunicorn import stock_gunicorn
from tests.support.http2 import Http2Client
from tests.support.processes import wait_until
from tests.support.raw import OK, RecordingServer
from tests.support.tls import issue

pytestmark = pytest.mark.end_to_end

LARGE = bytes(2 * 1024 * 1024)


@pytest.fixture
def http2(tmp_path):
    """The environment that turns it on."""
    cert, key = issue(tmp_path)
    return {"HTTP2": "on", "TLS_CERT": str(cert), "TLS_KEY": str(key)}


def test_without_a_certificate_it_says_what_it_needs(tmp_path):
    process, _ = stock_gunicorn(tmp_path, "http://127.0.0.1:9", env={"HTTP2": "on"})
    process.start(wait=False)
    wait_until(lambda: not process.running, what="its end")
    assert "HTTP2=on needs TLS_CERT and TLS_KEY" in process.output()
    assert "Traceback" not in process.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["TERM", "HUP"])
def test_what_is_under_way_is_finished_when_a_worker_ends(tmp_path, http2, number):
    asked, ending = Event(), Event()

    def answer(_request: bytes) -> bytes:
        asked.set()
        assert ending.wait(10)
        return OK

    with RecordingServer(answer) as server:
        # A connection that its client keeps open is waited for until the grace is over.
        process, port = stock_gunicorn(tmp_path, server.url, env=http2 | {"GRACE": "2"})
        with process:
            with Http2Client(("127.0.0.1", port)) as client:
                stream = client.ask()
                assert asked.wait(10)
                process.send(number)
                wait_until(lambda: "Handling signal" in process.output(), what="the signal")
                ending.set()
                assert client.wait(stream)[0].body == b"ok"
                if number == signal.SIGTERM:
                    wait_until(lambda: not process.running, 20, what="its end")
            if number == signal.SIGHUP:
                # Until then the old worker may tell a new connection to go away, before it has taken any request.
                wait_until(lambda: "Worker exiting" in process.output(), 20, what="the end of the old worker")
                with Http2Client(("127.0.0.1", port)) as later:
                    assert later.wait(later.ask())[0].body == b"ok"
        assert "Traceback" not in process.output()


def test_an_answer_before_the_end_of_the_upload(tmp_path, http2):
    """The first server takes in while it answers; the second answers and takes no more; the third is asked after."""
    taken = Event()

    def serve(peer: Peer) -> None:
        asked = peer.head()
        if asked.startswith(b"GET"):
            peer.send(OK)
        elif taken.is_set():
            peer.send(OK)
            gevent.sleep(60)
        else:
            answering = gevent.spawn(
                peer.send, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LARGE), LARGE)
            )
            peer.read_until(b"\r\n0\r\n\r\n")
            answering.get()
            taken.set()

    with Upstream(serve) as server:
        process, port = stock_gunicorn(tmp_path, server.url, env=http2, timeouts={"head": "500ms"})
        with process, Http2Client(("127.0.0.1", port)) as client:
            assert client.wait(client.upload(len(LARGE)))[0].body == LARGE
            assert taken.wait(10)
            assert client.wait(client.upload(8 * len(LARGE)))[0].body == b"ok"
            assert client.wait(client.ask())[0].body == b"ok"
        assert "Traceback" not in process.output()
