"""Heads put together again from a WSGI environ, and what other WSGI servers than gunicorn cannot do."""

from __future__ import annotations

import pytest

from app.errors import WireError
from app.proxy.downstream import Downstream
from app.proxy.environ import head_bytes
from tests.proxy.peer import Upstream
from tests.proxy.rig import Rig
from tests.support.raw import OK

PLAIN = {"REQUEST_METHOD": "GET", "RAW_URI": "/a?b", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "a"}
HTTP_2 = PLAIN | {"SERVER_PROTOCOL": "HTTP/2.0", "HTTP_VERSION": "2"}


@pytest.mark.parametrize(
    ("environ", "length", "head"),
    [
        (PLAIN, None, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (PLAIN | {"HTTP_EXPECT": "100-continue"}, None, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (PLAIN | {"HTTP_VERSION": "7"}, None, "GET /a?b HTTP/1.1\r\nHost: a\r\nVersion: 7\r\n\r\n"),
        (PLAIN | {"HTTP_X_A": "é"}, None, b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: \xe9\r\n\r\n"),
        (PLAIN | {"CONTENT_LENGTH": ""}, None, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (HTTP_2, None, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (HTTP_2 | {"HTTP_X_A": "é€"}, None, "GET /a?b HTTP/1.1\r\nHost: a\r\nX-A: é€\r\n\r\n"),
        (HTTP_2, 3, "GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"),
        (HTTP_2, -1, "GET /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (HTTP_2 | {"RAW_URI": "*"}, None, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ],
)
def test_a_head(environ, length, head):
    expected = head if isinstance(head, bytes) else head.encode()
    assert sorted(head_bytes(environ, length).split(b"\r\n")) == sorted(expected.split(b"\r\n"))


@pytest.mark.parametrize(
    "changed",
    [
        {"RAW_URI": "/ HTTP/1.1\r\nX: y"},
        {"HTTP_X": "a\r\nY: b"},
        {"HTTP_X": "a\n"},
        {"REQUEST_METHOD": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"},
    ],
)
@pytest.mark.parametrize("environ", [PLAIN, HTTP_2])
def test_what_would_be_more_than_one_head_is_refused(environ, changed):
    with pytest.raises(WireError, match="end of a line"):
        head_bytes(environ | changed)


@pytest.mark.parametrize("target", ["http://evil/", "evil", "//evil"])
def test_the_authority_of_http_2_stands_in_a_field_of_its_own(target):
    if target.startswith("/"):
        assert head_bytes(HTTP_2 | {"RAW_URI": target}).startswith(b"GET //evil HTTP/1.1\r\n")
    else:
        with pytest.raises(WireError, match="must be a path"):
            head_bytes(HTTP_2 | {"RAW_URI": target})


def test_the_connection_itself_says_whether_it_is_encrypted():
    assert not Downstream(PLAIN | {"gunicorn.socket": object(), "wsgi.url_scheme": "https"}).secure
    assert Downstream(PLAIN | {"wsgi.url_scheme": "https"}).secure


def ask(protocol: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol


def test_without_a_socket_a_websocket_cannot_be():
    with Upstream(lambda peer: peer.rest()) as server, Rig("wsgi", server.url) as rig, rig.client() as client:
        assert client.send(ask(b"websocket")).head().startswith(b"HTTP/1.1 501 ")
        assert client.read_until(b"\n") == b"501 Not Implemented (upgrade_not_supported)\n"
        assert rig.stats.refused["upgrade_not_supported"] == 1
        assert server.connections == 0


def test_without_a_socket_no_other_protocol_is_offered():
    heads = []

    def serve(peer):
        heads.append(peer.head())
        peer.send(OK)

    with Upstream(serve) as server, Rig("wsgi", server.url) as rig, rig.client() as client:
        assert client.send(ask(b"else/1")).head().startswith(b"HTTP/1.1 200 ")
    assert b"upgrade" not in heads[0].lower()
