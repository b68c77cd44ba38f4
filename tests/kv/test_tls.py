"""The config server over TLS: who gets in, how it ends, and how a certificate is renewed."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from functools import partial

import gevent
import pytest
import trustme
from gevent import socket

from kv import certificate
from kv.errors import BadSetting
from kv.incoming import Bounds
from kv.service import Service
from kv.settings import Settings, read_settings
from tests.support.kv_helpers import serving
from tests.support.kv_process import KvProcess
from tests.support.processes import fetch, wait_until
from tests.support.tls import client_context, issue, write_authority

REQUEST = b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def files(tmp_path):
    return issue(tmp_path)


@pytest.fixture
def server(store, files):
    context = certificate.load(*files)
    with serving(store, Bounds(head=0.3, linger=0.3), tls=lambda: context) as server:
        yield server


@contextmanager
def connected(server, context=None):
    address = ("127.0.0.1", server.server_port)
    with (
        socket.create_connection(address, timeout=5) as plain,
        (context or client_context()).wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        yield secured


def test_one_request_after_the_other(server):
    with connected(server) as client:
        for _ in range(2):
            client.sendall(REQUEST)
            assert client.recv(9999).startswith(b"HTTP/1.1 404 ")
        assert client.version() in ("TLSv1.2", "TLSv1.3")


def test_a_body_in_pieces(server, store):
    with connected(server) as client:
        client.sendall(b'PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200002\r\n\r\n"')
        for _ in range(20):
            client.sendall(b"x" * 10_000)
        client.sendall(b'"')
        assert client.recv(9999).startswith(b"HTTP/1.1 201 ")
    assert store.get("a").version.size == 200_002


def test_no_older_version(files):
    assert certificate.load(*files).minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_client_that_trusts_another_authority(server):
    with pytest.raises(ssl.SSLCertVerificationError), connected(server, client_context(trustme.CA())):
        pass


@pytest.mark.parametrize(
    "data", [REQUEST, b"\x16\x03\x01", b"", b"\x00" * 500], ids=["HTTP", "cut", "silent", "zeros"]
)
def test_who_speaks_no_tls_is_sent_away(server, data, caplog):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as client:
        client.sendall(data)
        received = b""
        try:
            while block := client.recv(9999):
                received += block
        except ConnectionError:
            pass
    assert b"HTTP" not in received
    assert caplog.text == ""
    with connected(server) as client:
        client.sendall(REQUEST)
        assert client.recv(9999).startswith(b"HTTP/1.1 404 ")


def test_a_slow_head_is_sent_away(server):
    with connected(server) as client:
        client.sendall(REQUEST[:20])
        assert client.recv(9999).startswith(b"HTTP/1.1 408 ")


def test_a_bad_head_is_answered(server):
    with connected(server) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(9999).startswith(b"HTTP/1.1 400 ")


def test_an_end_waits_for_no_idle_client(store, files, caplog):
    context = certificate.load(*files)
    with serving(store, tls=lambda: context) as server, connected(server) as client:
        client.sendall(REQUEST)
        client.recv(9999)
        wait_until(lambda: any(each.waiting for each in server.serving))
        with gevent.Timeout(5):
            server.stop()
        assert client.recv(9999) == b""
    assert caplog.text == ""


def test_a_new_certificate_is_for_new_connections(tmp_path, files):
    service = Service(Settings(store="memory://", tls=files))
    watched = service._certificate
    before = service.tls()
    files[1].write_text("no key")
    watched.refresh()
    assert (service.tls() is before, "PEM" in watched.fault) == (True, True)
    issue(tmp_path)
    watched.refresh()
    assert (service.tls() is before, watched.fault) == (False, None)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda cert, key: key.unlink(), "cannot be read"),
        (lambda cert, key: cert.write_text("x"), "PEM"),
        (lambda cert, key: key.write_bytes(trustme.CA().private_key_pem.bytes()), "its own key"),
    ],
    ids=["no key", "no PEM", "another key"],
)
def test_files_that_cannot_be_used(files, spoil, told):
    spoil(*files)
    with pytest.raises(BadSetting, match=told):
        certificate.load(*files)


@pytest.mark.parametrize("given", ["KV_TLS_CERT", "KV_TLS_KEY"])
def test_one_file_is_not_enough(given):
    with pytest.raises(BadSetting, match="go together"):
        read_settings({given: "a.pem"})


@pytest.mark.end_to_end
def test_a_process_with_a_certificate(tmp_path, files):
    cert, key = files
    ask = partial(fetch, verify=write_authority(tmp_path))
    with KvProcess(tmp_path, KV_TLS_CERT=str(cert), KV_TLS_KEY=str(key)) as kv:
        assert kv.url.startswith("https://")
        assert ask("PUT", f"{kv.url}/v1/kv/a", data=b"1").status_code == 201
        assert kv.terminate() == 0
        assert "Traceback" not in kv.output()
