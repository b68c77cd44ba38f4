"""A Serin before many servers: its document, the servers themselves, and the processes.

All servers are one nginx, on as many addresses of the loopback: 127.1.0.1 and up; the canary is 127.2.0.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.peers import GUNICORN, SERIN, SERVERS, Peer, Site
from bench.proxy import proxy
from tests.support.processes import answers

MOST = 1000
CANARY = "127.2.0.1"
MANY_SERVERS = replace(
    SERVERS,
    config="scale_servers.conf",
    arguments=("-c", "@folder@/scale_servers.conf", "-g", "daemon off;"),
)


def address(number: int) -> str:
    """Of the stable server with this number, from 0."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def document(port: int, servers: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    """With so many stable servers; `changes` are fields of the document."""
    return {
        "ratio": 0.05,
        "limits": {"connections": 20_000},
        "timeouts": {"client_idle": "10m"},
        "stable": {"servers": [{"url": f"http://{address(each)}:{port}"} for each in range(servers)]},
        "canary": {"servers": [{"url": f"http://{CANARY}:{port}"}]},
        **changes,
    }


@contextmanager
def many_servers(site: Site, core: int) -> Iterator[None]:
    """MOST stable servers and a canary, up, on the port `stable` of each address."""
    port = site.ports["stable"]
    every = [*map(address, range(MOST)), CANARY]
    (site.folder / "addresses.conf").write_text(
        "".join(f"listen {each}:{port} backlog=4096;\n" for each in every)
    )
    site.lay(MANY_SERVERS.config)
    ready = answers(f"http://{CANARY}:{port}/")
    with MANY_SERVERS.process(site, core, MANY_SERVERS.arguments, ready):
        yield


@contextmanager
def serin(
    site: Site, folder: Path, config: Mapping[str, Any], workers: int, cores: Sequence[int]
) -> Iterator[int]:
    """Up, with this config, its state in `folder`; its process id. Without workers it is `python -m app`.

    `cores`: the proxy's and everybody else's.
    """
    (folder / "serin.json").write_text(json.dumps(config))
    with proxy(with_workers(workers), replace(site, folder=folder), cores[0], cores[1]) as pid:
        yield pid


def with_workers(count: int) -> Peer:
    """Serin with so many workers of gunicorn, or without gunicorn; its document is laid by others."""
    arguments = (*GUNICORN, f"--workers={count}") if count else SERIN.arguments
    return replace(SERIN, config="", arguments=arguments)
