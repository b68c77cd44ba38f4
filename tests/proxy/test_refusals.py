"""Every reason that docs/http.md lists, provoked: what the client is told, and what is counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from gevent import socket
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

from app.admin.app import AdminApp
from app.admin.figures import Alone
from app.admin.live import Live
from tests.admin.instance import NOTHING
from tests.corpus import cases, response_cases
from tests.corpus.scripted import Script
from tests.corpus.test_requests import LIMITS
from tests.proxy.peer import GET, Peer, Upstream, post
from tests.proxy.rig import Rig
from tests.proxy.secure_peer import SecureUpstream, answering
from tests.proxy.test_large_bodies import no_descriptors_left
from tests.support.processes import free_port, wait_until
from tests.support.raw import OK

_ROW = re.compile(r"^\| ([a-z0-9_, ]+) \| ([0-9]{3}|–|cut)", re.MULTILINE)
PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
OURS, THEIRS = (
    {reason: status for reasons, status in _ROW.findall(part) for reason in reasons.split(", ")}
    for part in PAGE.split("`serin_failures_total`")
)


class Scene(NamedTuple):
    """What a client sends to which proxy. `servers`: how many are behind. `stays`: the connection goes on."""

    sent: bytes
    front: str = "fast_lane"
    servers: int = 1
    stays: bool = False
    secure: bool = False
    options: Mapping[str, Any] = MappingProxyType({})


UPGRADE = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SCENES = {
    "underscored_header": Scene(GET[:-2] + b"A_B: c\r\n\r\n", options={"underscored_headers": "refuse"}),
    "head_timeout": Scene(GET[:-2], options={"timeouts": {"client_head": 0.1}}),
    "body_timeout": Scene(
        post(b"x", length=9), options={"timeouts": {"client_head": 0.1, "body_rate": 10.0**6}}
    ),
    "too_many_connections": Scene(GET, options={"limits": {"connections": 0}}),
    "bad_proxy_header": Scene(GET, options={"proxy_protocol": True}),
    "plain_http": Scene(GET, secure=True),
    "tls_handshake": Scene(b"\x16\x03\x01\x00\x05nonsense", secure=True),
    "upgrade_not_supported": Scene(UPGRADE, front="wsgi", stays=True),
    "no_server": Scene(GET, servers=0, stays=True),
    "queue_full": Scene(GET, stays=True, options={"limits": {"requests": 0, "queue": 0}}),
    "queue_timeout": Scene(GET, stays=True, options={"limits": {"requests": 0, "queue_time": 0.05}}),
}
# The first of each reason that is the first answer on its connection.
IN_CORPUS = {case.reason: case for case in reversed(cases.load()) if len(case.statuses) == 1}


@pytest.mark.parametrize("reason", OURS)
def test_a_refusal_is_short_says_why_and_is_counted(reason, certificate):
    scene = SCENES.get(reason) or Scene(IN_CORPUS[reason].client, options={"limits": LIMITS})
    tls = certificate if scene.secure else None
    with (
        Upstream(answering()) as server,
        Rig(scene.front, *[server.url][: scene.servers], tls=tls, **scene.options) as rig,
        rig.client() as client,
    ):
        client.send(scene.sent)
        if reason.endswith("_cut"):
            client.socket.shutdown(socket.SHUT_WR)
        if OURS[reason] == "–":
            with pytest.raises((ConnectionResetError, AssertionError)):
                client.head()
        else:
            check_answer(client, int(OURS[reason]), reason, stays=scene.stays)
        wait_until(lambda: counted(rig, "serin_refused_total") == {reason: 1}, what="the count")


def check_answer(client: Peer, status: int, reason: str, *, stays: bool) -> None:
    phrase = HTTPStatus(status).phrase
    while (head := client.head().decode()).startswith("HTTP/1.1 1"):
        pass
    assert head.startswith(f"HTTP/1.1 {status} {phrase}\r\n")
    assert "\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
    length = re.search(r"\r\nContent-Length: ([0-9]+)\r\n", head)
    assert length
    assert ("\r\nConnection: close\r\n" in head) is not stays
    text = client.exactly(int(length[1])).decode()
    assert re.fullmatch(rf"{status} {phrase} \({reason}\)\n(request id: [0-9a-f-]+\n)?", text)
    if not stays:
        assert client.rest() == b""


def counted(rig: Rig, family: str) -> dict[str, float]:
    """By reason, as the metrics have it."""
    live = Live(rig.gateway, rig.fleet.loads, lambda: NOTHING)
    page = Client(AdminApp(live, Alone(live.report))).get("/metrics").text
    samples = [sample for family_ in text_string_to_metric_families(page) for sample in family_.samples]
    return {sample.labels["reason"]: sample.value for sample in samples if sample.name == family}


@contextmanager
def full() -> Iterator[str]:
    """A listener whose queue is full leaves the handshake hanging."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as held:
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def serving(upstream: Upstream, scheme: str) -> Iterator[str]:
    with upstream as server:
        yield re.sub("https?", scheme, server.url)


# By reason, the URL of a server that has it fail.
SERVERS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "refused": lambda: nullcontext(f"http://127.0.0.1:{free_port()}"),
    "unreachable": lambda: nullcontext("unix:/no/such/socket"),
    "network": lambda: nullcontext("http://[fe80::1]:9"),  # a link's address needs a zone: EINVAL
    "name_not_found": lambda: nullcontext("http://no-such-host.invalid"),
    "connect_timeout": full,
    "out_of_sockets": lambda: serving(Upstream(answering()), "http"),
    "tls": lambda: serving(Upstream(lambda peer: peer.send(OK)), "https"),
    "tls_certificate": lambda: serving(SecureUpstream(answering()), "https"),
    "timeout": lambda: serving(Upstream(Peer.rest), "http"),
}
SHORT = {"connect": 0.1, "head": 0.1}
ANSWERS = {
    case.reason: case
    for case in reversed(response_cases.load())
    if case.request == GET and case.status == (502 if THEIRS.get(case.reason) == "502" else 0)
}


@pytest.mark.parametrize("reason", THEIRS)
def test_a_failure_of_a_server_says_why_and_is_counted(reason):
    case = ANSWERS.get(reason)
    script = case and Script(case.request, [case.server], case.leaves)
    behind = serving(Upstream(script.serve), "http") if script else SERVERS[reason]()
    with (
        behind as url,
        Rig("fast_lane", url, timeouts={} if script else SHORT, limits={"head_bytes": 2048}) as rig,
        rig.client() as client,
    ):
        wait_until(lambda: rig.gateway.lanes, what="the connection")
        with no_descriptors_left() if reason == "out_of_sockets" else nullcontext():
            client.send(GET)
            wait_until(lambda: counted(rig, "serin_failures_total") == {reason: 1}, what="the count")
        if THEIRS[reason] == "cut":
            with pytest.raises(ConnectionResetError):
                client.rest()
        else:
            check_answer(client, int(THEIRS[reason]), reason, stays=True)
