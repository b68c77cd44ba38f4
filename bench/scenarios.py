"""What the proxies are asked to do: the scenarios of bench.proxy, in the order of its tables."""

from __future__ import annotations

from dataclasses import dataclass

from bench.measure import Load

KIB = 1024
BODIES = {"16k": 16 * KIB, "1m": KIB * KIB}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load. `feature`: what the proxies are told to do besides, sticky or log."""

    name: str
    title: str
    connections: int = 64
    path: str = "/"
    post: int = 0
    close: bool = False
    feature: str = ""

    def load(self, seconds: int, core: int, cookies: tuple[str, ...] = ()) -> Load:
        """It as what wrk is told."""
        return Load(seconds, self.connections, core, self.path, self.post, self.close, cookies)


SCENARIOS = (
    Scenario("get-1", "small GET, 1 connection", connections=1),
    Scenario("get-64", "small GET, 64 connections"),
    Scenario("get-512", "small GET, 512 connections", connections=512),
    Scenario("16k", "answers of 16 KiB, 64 connections", path="/bodies/16k"),
    Scenario("1m", "answers of 1 MiB, 64 connections", path="/bodies/1m"),
    Scenario("post", "POST of 16 KiB, 64 connections", post=16 * KIB),
    Scenario("close", "small GET, a new connection for each, 64 at once", close=True),
    Scenario("sticky", "small GET of visitors who come back, 64 connections", feature="sticky"),
    Scenario("log", "small GET with an access log, 64 connections", feature="log"),
)
