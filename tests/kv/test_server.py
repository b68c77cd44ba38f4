"""The server on a real socket: strangers, slow clients, large bodies, and the end."""

from __future__ import annotations

import gc
import json
import logging
import re

import gevent
import pytest
import requests
from gevent import socket

from kv.asked import Asked
from kv.incoming import Bounds
from tests.support.kv_helpers import serving
from tests.support.processes import wait_until
from tests.support.raw import exchange

HURRIED = Bounds(head=0.2, idle=0.2, body_rate=1e9, linger=0.2, drain=5)
GET = b"GET /-/healthz HTTP/1.1\r\nHost: localhost\r\n"
PUT = b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(store):
    with serving(store) as server:
        yield server


@pytest.fixture
def hurried(store):
    with serving(store, HURRIED) as server:
        yield server


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}/v1/kv/a"


def ask(server, data, **options):
    return exchange(("127.0.0.1", server.server_port), data, **options)


def connect(server):
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=5)


def answers(data):
    return len(re.findall(rb"^HTTP/1.1 [0-9]", data, re.MULTILINE))


def status(answer):
    assert answer.startswith(b"HTTP/1.1 ")
    return int(answer.split(b" ", 2)[1])


def test_a_document_comes_and_goes(url):
    with requests.Session() as session:
        assert session.put(url, data=b'{"a": 1}').status_code == 201
        assert session.patch(url, data=b'{"b": 2}').json()["revision"] == 2
        assert session.get(url).json() == {"a": 1, "b": 2}
        assert session.head(url).headers["Content-Length"] == "16"
        assert session.delete(url).status_code == 200
        assert session.get(url).status_code == 404


def test_a_connection_is_kept(server):
    answer = ask(server, (GET + b"\r\n") * 2 + GET + b"Connection: close\r\n\r\n")
    assert (answer.count(b"HTTP/1.1 200"), answer.count(b"Connection: close")) == (3, 1)


def test_byte_by_byte(server):
    data = PUT + b"Content-Length: 2\r\nConnection: close\r\n\r\n12"
    assert status(ask(server, data, byte_by_byte=True)) == 201


def test_chunked(server, store):
    chunks = b"3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\nT: x\r\n\r\n"
    answer = ask(server, PUT + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks)
    assert (status(answer), store.get("a").value) == (201, b"[1,2]")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\r\n\r\n", 400),
        (b"GET /-/healthz HTTP/1.1\r\n\r\n", 400),
        (b"\x00" * 100, 400),
        (GET + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 70_000, 431),
        (PUT + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (PUT + b"Content-Length: x\r\n\r\n", 400),
        (PUT + b"Content-Length: 10\r\n\r\n123", 400),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\n5\r\n123", 400),
        (PUT + b"\r\n", 411),
        (PUT + b"Content-Length: 0\r\n\r\n", 400),
        (b"\r\n" + GET + b"Connection: close\r\n\r\n", 200),
        (b"GET /-/healthz HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_strangers_get_a_clear_answer(server, capfd, data, expected):
    answer = ask(server, data, half_close=True)
    assert (status(answer), answers(answer)) == (expected, 1)
    assert "Traceback" not in capfd.readouterr().err


def test_what_follows_a_refused_request_is_no_request(server):
    answer = ask(server, PUT + b"Content-Length: x\r\n\r\n" + GET + b"\r\n")
    assert answers(answer) == 1


def test_a_body_left_unread_is_no_request(server):
    smuggled = GET + b"\r\n"
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(smuggled)
    answer = ask(server, head + smuggled)
    assert (status(answer), answers(answer), b"Connection: close" in answer) == (404, 1, True)


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_refused_and_the_client_sees_it(url, store, chunked):
    body = b"[" + b" " * 10_000_000
    sent = (body[start : start + 65536] for start in range(0, len(body), 65536)) if chunked else body
    response = requests.put(url, data=sent, timeout=10)
    assert (response.status_code, response.headers["Connection"]) == (413, "close")
    assert store.get("a") is None


def test_who_is_refused_may_finish_sending(server):
    with connect(server) as client:
        client.sendall(PUT + b"Content-Length: 10000000\r\n\r\n")
        gevent.socket.wait_read(client.fileno(), timeout=5)
        for _ in range(20):
            client.sendall(b"x" * 50_000)
            gevent.sleep(0)
        assert status(client.recv(9999)) == 413


def test_an_underscore_is_no_hyphen(server, store):
    ask(server, PUT + b"X_Author: eve\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1")
    assert store.history("a", 1)[0].meta.author == ""


def test_a_body_that_waits_for_100(server):
    with connect(server) as client:
        client.sendall(PUT + b"Expect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\n")
        assert client.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"1")
        assert status(client.recv(9999)) == 201


def test_a_refused_body_is_not_asked_for(server):
    head = PUT + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    assert status(ask(server, head, half_close=True)) == 413


def test_head_and_body_are_one_segment(server):
    with connect(server) as client:
        client.sendall(GET + b"\r\n")
        assert client.recv(9999).endswith(b'{"status": "ok"}\n')
        (connection,) = server.serving
        assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("data", [b"GET / HT", GET])
def test_a_slow_head(hurried, data):
    assert status(ask(hurried, data)) == 408


def test_dripping_does_not_help(hurried):
    with connect(hurried) as client:

        def drip():
            while client.send(b"A"):
                gevent.sleep(0.02)

        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        dripping = gevent.spawn(drip)
        assert status(client.recv(9999)) == 408
        dripping.kill()


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_slow_body(hurried, store, framing):
    assert status(ask(hurried, PUT + framing + b"\r\n\r\n1\r\n1")) == 400
    assert store.get("a") is None


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"])
def test_idle_connections_are_closed(hurried, before):
    with connect(hurried) as client:
        client.sendall(before)
        while client.recv(9999):
            pass
    wait_until(lambda: not hurried.serving)


def test_a_client_that_has_left_is_forgotten(server, store, caplog):
    with connect(server) as client:
        client.sendall(b'GET /v1/kv/a?wait=0.3 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "0"\r\n\r\n')
        wait_until(lambda: store.hub.watchers == 1)
    wait_until(lambda: not store.hub.watchers and not server.serving)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_end_waits_for_nobody_idle_and_answers_who_waits(store):
    with serving(store) as server, connect(server) as idle, connect(server) as waiting:
        waiting.sendall(b'GET /v1/kv/a?wait=60 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "0"\r\n\r\n')
        wait_until(lambda: store.hub.watchers == 1 and len(server.serving) == 2)
        store.hub.release()
        with gevent.Timeout(5):
            server.stop()
        answer = waiting.recv(9999)
        assert (status(answer), b"Connection: close" in answer, idle.recv(1)) == (304, True, b"")


def test_two_hundred_waiting_clients_hear_of_a_change(server, url, store):
    clients = [connect(server) for _ in range(200)]
    for client in clients:
        client.sendall(b'GET /v1/kv/a?wait=60 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: "0"\r\n\r\n')
    wait_until(lambda: store.hub.watchers == 200)
    assert requests.put(url, data=json.dumps({"a": 1}), timeout=5).status_code == 201
    assert {status(client.recv(9999)) for client in clients} == {200}
    for client in clients:
        client.close()


def test_nothing_of_a_request_is_left_to_the_garbage_collector(server):
    gc.collect()
    gc.disable()
    try:
        for request in (PUT + b"Content-Length: 1\r\n\r\n1", GET + b"\r\n"):
            assert ask(server, request, quiet=0.05).startswith(b"HTTP/1.1 20")
        assert not [each for each in gc.get_objects() if isinstance(each, Asked)]
    finally:
        gc.enable()
