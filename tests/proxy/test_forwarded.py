"""What the servers, the cookie and the choice of a version learn of clients behind trusted proxies."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from tests.proxy.rig import Rig
from tests.support.raw import OK, RecordingServer, exchange

CLIENT, SPOOF = b"198.51.100.4", b"6.6.6.6"
TRUSTED = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
STRANGER: dict[str, Any] = {}


def get(*fields: bytes) -> bytes:
    lines = [b"GET / HTTP/1.1", b"Host: a.example", b"Connection: close", *fields]
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def told(front: str, config: dict[str, Any], *fields: bytes) -> dict[bytes, bytes]:
    """What the server is told of where a request with these fields comes from."""
    with RecordingServer() as server, Rig(front, server.url, **config) as rig:
        assert exchange(rig.address, get(*fields)).startswith(b"HTTP/1.1 200 ")
    pairs = [line.split(b": ", 1) for line in server.requests[0].split(b"\r\n")[1:-2]]
    found = [pair for pair in pairs if pair[0].lower().startswith((b"x-forwarded", b"forwarded", b"x-real"))]
    assert len(found) == len(dict(found))
    return dict(found)


OURS = {
    b"X-Forwarded-For": b"127.0.0.1",
    b"X-Forwarded-Proto": b"http",
    b"X-Forwarded-Host": b"a.example",
}
FORGED = (
    b"X-Forwarded-For: " + SPOOF,
    b"x-forwarded-for: " + SPOOF,
    b"X-FORWARDED-PROTO: https",
    b"X-Forwarded-Host: evil",
    b"X-Forwarded-Port: 443",
    b"X-Forwarded-Whatever: x",
    b"X-Real-IP: " + SPOOF,
)


@pytest.mark.parametrize("config", [STRANGER, TRUSTED], ids=["stranger", "trusted"])
def test_a_client_that_says_nothing(front, config):
    assert told(front, config) == OURS


def test_what_a_stranger_says_is_replaced(front):
    assert told(front, STRANGER, *FORGED) == OURS
    elsewhere = {"trusted_proxies": (ip_network("10.0.0.0/8"), ip_network("::/0"))}
    assert told(front, elsewhere, *FORGED) == OURS


def test_a_stranger_who_sends_forwarded_gets_ours(front):
    ours = OURS | {b"Forwarded": b'for=127.0.0.1;proto=http;host="a.example"'}
    assert told(front, STRANGER, b"Forwarded: for=%b;proto=https" % SPOOF) == ours


def test_what_a_trusted_proxy_says_is_kept_and_grows(front):
    said = told(
        front,
        TRUSTED,
        b"X-Forwarded-For: " + SPOOF,
        b"X-Forwarded-For: " + CLIENT,
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: first.example",
        b"X-Forwarded-Port: 443",
        b"X-Real-IP: " + CLIENT,
        b"Forwarded: for=" + CLIENT,
    )
    hops = said.pop(b"X-Forwarded-For").split(b",")  # pywsgi folds lines without a space
    assert [hop.strip() for hop in hops] == [SPOOF, CLIENT, b"127.0.0.1"]
    assert said == {
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"first.example",
        b"X-Forwarded-Port": b"443",
        b"X-Real-Ip": CLIENT,
        b"Forwarded": b'for=%b, for=127.0.0.1;proto=http;host="a.example"' % CLIENT,
    }


@pytest.mark.parametrize("config", [STRANGER, TRUSTED], ids=["stranger", "trusted"])
def test_connection_cannot_take_away_what_is_told(front, config):
    named = b"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"
    sent = [] if config is STRANGER else [b"X-Forwarded-For: " + CLIENT]
    assert set(told(front, config, *sent, named)) == set(OURS)


def test_underscores_do_not_pass_for_dashes(front):
    assert told(front, TRUSTED, b"X_Forwarded_For: " + SPOOF, b"X_FORWARDED-Proto: https") == OURS


@pytest.mark.parametrize(
    ("config", "fields", "secure"),
    [
        (TRUSTED, [b"X-Forwarded-Proto: https"], True),
        (TRUSTED, [b"Forwarded: for=%b;proto=https" % CLIENT], True),
        (TRUSTED, [b"X-Forwarded-Proto: http"], False),
        (TRUSTED, [], False),
        (STRANGER, [b"X-Forwarded-Proto: https"], False),
    ],
)
def test_the_cookie_is_secure_where_the_client_is(front, config, fields, secure):
    with RecordingServer() as server, Rig(front, server.url, sticky_sessions=True, **config) as rig:
        answer = exchange(rig.address, get(*fields))
    cookie = next(line for line in answer.split(b"\r\n") if line.startswith(b"Set-Cookie: "))
    assert cookie.endswith(b"; Secure") is secure


def versions_of(front: str, config: dict[str, Any], clients: list[str]) -> list[bytes]:
    """Which version each client gets that is known by its address alone."""
    answer = OK.replace(b"ok", b"ca")
    with (
        RecordingServer(OK) as stable,
        RecordingServer(answer) as canary,
        Rig(front, stable.url, style="hash", ratio=0.5, canary=[canary.url], **config) as rig,
    ):
        return [exchange(rig.address, get(b"X-Forwarded-For: " + each.encode()))[-2:] for each in clients]


def test_a_visitor_known_by_address_is_the_client_and_not_the_proxy(front):
    clients = [f"198.51.100.{number}" for number in range(16)]
    versions = versions_of(front, TRUSTED, clients)
    assert set(versions) == {b"ok", b"ca"}
    behind_two = [f"{SPOOF.decode()}, {each}, 127.0.0.2" for each in clients]
    assert versions_of(front, TRUSTED, behind_two) == versions
    assert len(set(versions_of(front, STRANGER, clients))) == 1
