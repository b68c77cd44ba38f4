"""How each proxy is started to be changed, and how it is told that the other version takes all requests.

Each way is the one its documentation gives for changes while it serves. Those that read files get the new one
by a rename: none ever sees half of one. `@stable_weight@` and `@canary_weight@` stand in configs for 0 and 1.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from gevent import socket

from bench.peers import PEERS, SERIN, Peer, Site
from bench.serins import in_force_since, serins
from tests.support.processes import answers
from tests.support.raw import Address, exchange

WEIGHTS = {
    "stable": {"stable_weight": 1, "canary_weight": 0},
    "canary": {"stable_weight": 0, "canary_weight": 1},
}
PORTS = ("listen", "stable", "canary", "admin", "kv")
ROUTES = "change_envoy_routes.yaml"
BY_NAME = {peer.name: peer for peer in PEERS}
Cores = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Changer:
    """`start(site, cores)` is up inside, all requests go to `stable`; it gives the address of each instance.

    `send(site, version)` sends the change. Raises OSError or AssertionError when it is refused.
    `noted(site)`: when each instance put its present config in force, in Unix time, if they are many.
    """

    name: str
    peer: Peer
    mechanism: str
    start: Callable[[Site, Cores], AbstractContextManager[list[Address]]]
    send: Callable[[Site, str], None]
    instances: int = 1
    noted: Callable[[Site], list[float]] | None = None


def changers(instances: list[int]) -> list[Changer]:
    """Serin with each of these numbers of instances, and all others."""
    return [serin(count) for count in instances] + OTHERS


def serin(count: int) -> Changer:
    """A single instance has the first core to itself, like any other proxy; many need both."""

    def start(site: Site, cores: Cores) -> AbstractContextManager[list[Address]]:
        return serins(count, site, cores[:1] if count == 1 else cores)

    noted = in_force_since if count > 1 else None
    return Changer("Serin", SERIN, "PATCH to its config server", start, patch_serin, count, noted)


@contextmanager
def single(peer: Peer, live: str, site: Site, cores: Cores) -> Iterator[list[Address]]:
    """The proxy on the first core."""
    if live:
        (site.folder / "live").mkdir(exist_ok=True)
        rename(live, site, "stable")
    serving(site, "stable").lay(peer.config)
    address = ("127.0.0.1", site.ports["listen"])
    with peer.process(site, cores[0], peer.arguments, answers(f"http://127.0.0.1:{address[1]}/")):
        yield [address]


@contextmanager
def certified(peer: Peer, live: str, site: Site, cores: Cores) -> Iterator[list[Address]]:
    """For Traefik, which without a certificate makes an RSA key at every change: that alone takes 70 ms."""
    key, certificate = site.folder / "key.pem", site.folder / "cert.pem"
    options = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(["openssl", "req", "-x509", *options], check=True, capture_output=True)
    with single(peer, live, site, cores) as addresses:
        yield addresses


def serving(site: Site, version: str) -> Site:
    """The same, with the weights by which this version gets everything."""
    return replace(site, ports={**site.ports, **WEIGHTS[version]})


def rename(live: str, site: Site, version: str) -> None:
    """The config for this version takes the place of the one that is watched."""
    serving(site, version).lay(live)
    (site.folder / live).replace(site.folder / "live" / live)


def reload_nginx(site: Site, version: str) -> None:
    """What `nginx -s reload` does, without another nginx that starts first."""
    serving(site, version).lay("change_nginx.conf")
    os.kill(int((site.folder / "nginx.pid").read_text()), signal.SIGHUP)


def weigh_haproxy(site: Site, version: str) -> None:
    """The new version's weight first: at no moment is there none."""
    old = "canary" if version == "stable" else "stable"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.folder / "haproxy.sock"))
        connection.sendall(f"set weight versions/{version} 1; set weight versions/{old} 0\n".encode())
        answer = connection.recv(65536)
    assert not answer.strip(), answer


def patch_caddy(site: Site, version: str) -> None:
    """One value; Caddy starts all of its config anew."""
    weights = list(WEIGHTS[version].values())
    patch(site.ports["admin"], "/id/versions/load_balancing/selection_policy/weights", weights)


def patch_serin(site: Site, version: str) -> None:
    """One value of the document (RFC 7396)."""
    patch(site.ports["kv"], "/v1/kv/canary/config", {"ratio": WEIGHTS[version]["canary_weight"]})


def patch(port: int, path: str, value: object) -> None:
    """One request on a connection of its own, as curl's would be."""
    body = json.dumps(value)
    head = f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = exchange(("127.0.0.1", port), (head + fields + body).encode())
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def peer(name: str, config: str, *arguments: str) -> Peer:
    """As it is measured elsewhere, but for its config and arguments."""
    return replace(BY_NAME[name], config=config, arguments=arguments)


HAPROXY = peer("HAProxy", "change_haproxy.cfg", "-db", "-f", "@folder@/change_haproxy.cfg")
ENVOY = peer(
    "Envoy",
    "change_envoy.yaml",
    *("--config-path", "@folder@/change_envoy.yaml"),
    *("--concurrency", "1", "--disable-hot-restart", "-l", "error"),
)
TRAEFIK = peer(
    "Traefik",
    "change_traefik.yaml",
    "--entryPoints.web.address=127.0.0.1:@listen@",
    "--providers.file.directory=@folder@/live",
    "--providers.file.watch=true",
    "--providers.providersThrottleDuration=0s",
    "--global.checkNewVersion=false",
    "--global.sendAnonymousUsage=false",
    "--log.level=ERROR",
)
CADDY = peer("Caddy", "change_caddy.json", "run", "--config", "@folder@/change_caddy.json")
NGINX = peer("nginx", "change_nginx.conf", "-c", "@folder@/change_nginx.conf", "-g", "daemon off;")
OTHERS = [
    Changer("HAProxy", HAPROXY, "set weight, runtime API", partial(single, HAPROXY, ""), weigh_haproxy),
    Changer(
        "Envoy", ENVOY, "RDS from a file, renamed", partial(single, ENVOY, ROUTES), partial(rename, ROUTES)
    ),
    Changer(
        "Traefik",
        TRAEFIK,
        "file provider, renamed, not throttled (2 s by default)",
        partial(certified, TRAEFIK, TRAEFIK.config),
        partial(rename, TRAEFIK.config),
    ),
    Changer("Caddy", CADDY, "PATCH to its admin API", partial(single, CADDY, ""), patch_caddy),
    Changer("nginx", NGINX, "SIGHUP, as nginx -s reload", partial(single, NGINX, ""), reload_nginx),
]
