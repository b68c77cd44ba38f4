"""What the balance tests are told in: requests, fleets of servers and counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.balance.balancer import Balancer
from app.balance.server import Load, Server
from app.config.model import Config, ServerConfig, VersionConfig

# Chi-square that chance exceeds once in 10,000 times, by degrees of freedom.
RARE = {1: 15.1, 2: 18.4, 3: 21.1, 4: 23.5, 5: 25.7}


@dataclass
class Request:
    """Facts made up by a test."""

    path: bytes = b"/"
    client: bytes = b"192.0.2.1"
    headers: dict[bytes, bytes] = field(default_factory=dict)
    cookies: dict[bytes, bytes] = field(default_factory=dict)
    fields: dict[bytes, bytes] = field(default_factory=dict)
    bucket: int = 0

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)

    def cookie(self, name: bytes) -> bytes | None:
        return self.cookies.get(name)

    def query(self, name: bytes) -> bytes | None:
        return self.fields.get(name)


ANYONE = Request()


def visitor(name: bytes | str | int, cookie: bytes = b"serin") -> Request:
    return Request(cookies={cookie: name if isinstance(name, bytes) else str(name).encode()})


class Drawn(random.Random):
    """Draws what the test wants."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return self.number


class Loads(dict[str, Load]):
    """One Load a URL, made when first asked for."""

    def __missing__(self, url: str) -> Load:
        return self.setdefault(url, Load())


def version(
    name: str, weights: Iterable[int] | dict[str, int], balance: str = "round_robin"
) -> VersionConfig:
    """Servers `http://NAME-0`, `http://NAME-1` …, one for each weight; or the servers named, as given."""
    named = weights if isinstance(weights, dict) else {f"{name}-{n}": w for n, w in enumerate(weights)}
    return VersionConfig(tuple(ServerConfig(f"http://{host}", w) for host, w in named.items()), balance)


def config(stable: Any = (1,), canary: Any = (1,), balance: str = "round_robin", **rest: Any) -> Config:
    return Config(version("stable", stable, balance), version("canary", canary, balance), **rest)


def servers(*weights: int) -> tuple[Server, ...]:
    return tuple(Server(f"http://stable-{n}", "stable", w, Load()) for n, w in enumerate(weights))


def balancer(
    of: Config, loads: Loads | None = None, seed: int = 0, previous: Balancer | None = None
) -> Balancer:
    loads = Loads() if loads is None else loads
    return Balancer(of, loads.__getitem__, random.Random(seed), previous)


def take_out(fleet: Balancer, *urls: str) -> None:
    """Make exactly these servers unavailable."""
    for server in fleet.servers:
        server.load.down = server.url in urls
    fleet.refresh()


def count(pick: Callable[[], Server], times: int) -> Counter[Server]:
    return Counter(pick() for _ in range(times))


def chi_square(seen: Counter[Any], weights: Mapping[Any, float]) -> float:
    """How far the counts are from the weights; compare with RARE[len(weights) - 1]."""
    assert set(seen) <= set(weights)
    unit = seen.total() / sum(weights.values())
    return sum((seen[name] - weight * unit) ** 2 / (weight * unit) for name, weight in weights.items())
