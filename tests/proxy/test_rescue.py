"""Files that only one version has are found whichever version is asked. Both fronts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.config.model import RescueConfig, RetryConfig
from tests.proxy.rig import Rig
from tests.support.raw import RecordingServer, exchange


class Site(RecordingServer):
    """Has these paths; everything else is a 404 of its own. Or each answer has one status."""

    def __init__(self, name: bytes, *paths: bytes, status: int = 0) -> None:
        super().__init__(self._answer_for)
        self._name, self._paths, self._status = name, paths, status

    def _answer_for(self, request: bytes) -> bytes:
        path = request.split(b" ", 2)[1].partition(b"?")[0]
        status = self._status or (200 if path in self._paths else 404)
        lines = (status, self._name, len(self._name), b"" if request.startswith(b"HEAD ") else self._name)
        return b"HTTP/1.1 %d X\r\nX-Site: %b\r\nContent-Length: %d\r\n\r\n%b" % lines


@contextmanager
def sites(
    front: str, *, old: Any = (b"/app.1.js",), new: Any = (b"/app.2.js",), **config: Any
) -> Iterator[tuple[Rig, Site, Site]]:
    """Stable and canary with a file of their own each; stable gets all requests unless `config` says otherwise."""
    config = {"rescue": RescueConfig(), "ratio": 0.0, **config}
    with (
        Site(b"stable", *old) as stable,
        Site(b"canary", *new) as canary,
        Rig(front, stable.url, canary=[canary.url], **config) as rig,
    ):
        yield rig, stable, canary


def ask(rig: Rig, path: bytes, method: bytes = b"GET") -> bytes:
    return exchange(rig.address, b"%b %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (method, path))


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("path", [b"/app.1.js", b"/app.2.js", b"/app.2.js?v=3"])
def test_a_file_is_found_whichever_version_is_asked(front, ratio, path):
    with sites(front, ratio=ratio) as (rig, _, _canary):
        assert ask(rig, path).startswith(b"HTTP/1.1 200 ")
        assert ask(rig, path, b"HEAD").startswith(b"HTTP/1.1 200 ")


def test_who_has_a_file_is_remembered(front):
    with sites(front) as (rig, stable, canary):
        for _ in range(5):
            assert ask(rig, b"/app.2.js").endswith(b"canary")
        assert (len(stable.requests), len(canary.requests)) == (1, 5)
        assert rig.stats.tries["rescue"] == 1
        assert rig.stats.versions["stable"].spared["rescue"] == 1
        assert rig.stats.choices == {"override": 0, "sticky": 0, "style": 1, "rescue": 4}


def test_what_neither_has_is_the_404_of_the_version_asked(front):
    with sites(front) as (rig, stable, canary):
        for _ in range(3):
            got = ask(rig, b"/gone.js")
            assert got.startswith(b"HTTP/1.1 404 ")
            assert b"X-Site: stable" in got
        assert (len(stable.requests), len(canary.requests)) == (3, 1)
        assert rig.stats.versions["stable"].spared["rescue"] == 0
        rig.comes_to_rest(canary.url)


@pytest.mark.parametrize("path", [b"/page", b"/api/users?x=.js"])
def test_what_is_no_file_is_asked_for_once(front, path):
    with sites(front, new=(b"/page", b"/api/users")) as (rig, _, canary):
        assert ask(rig, path).startswith(b"HTTP/1.1 404 ")
        assert canary.requests == []


def test_other_methods_are_not_rescued(front):
    with sites(front) as (rig, _, canary):
        assert ask(rig, b"/app.2.js", b"DELETE").startswith(b"HTTP/1.1 404 ")
        assert canary.requests == []


def test_it_is_off_by_default(front):
    with sites(front, rescue=None) as (rig, _, canary):
        assert ask(rig, b"/app.2.js").startswith(b"HTTP/1.1 404 ")
        assert canary.requests == []


@pytest.mark.parametrize("status", [403, 500])
def test_only_a_file_that_is_there_is_better_than_a_404(front, status):
    with (
        Site(b"stable") as stable,
        Site(b"canary", status=status) as canary,
        Rig(front, stable.url, canary=[canary.url], ratio=0.0, rescue=RescueConfig()) as rig,
    ):
        for _ in range(2):
            got = ask(rig, b"/app.2.js")
            assert got.startswith(b"HTTP/1.1 404 ")
            assert got.endswith(b"stable")
        assert len(canary.requests) == 2
        rig.comes_to_rest(stable.url)


def test_a_version_that_is_not_there_leaves_the_404(front):
    with Site(b"stable") as stable, Rig(front, stable.url, rescue=RescueConfig()) as rig:
        assert ask(rig, b"/app.2.js").endswith(b"stable")


def test_the_budget_bounds_rescues_too(front):
    with sites(front, retry=RetryConfig(budget=0.0)) as (rig, _, canary):
        for number in range(30):
            ask(rig, b"/%d.js" % number)
        assert len(canary.requests) == 20
        assert rig.stats.tries["over_budget"] == 10


def test_a_file_that_moves_is_found_again(front):
    with sites(front) as (rig, stable, canary):
        assert ask(rig, b"/app.2.js").endswith(b"canary")
        stable._paths, canary._paths = (b"/app.2.js",), ()
        for _ in range(2):
            assert ask(rig, b"/app.2.js").endswith(b"stable")


def test_new_servers_may_have_new_files():
    """What was remembered of the old ones is forgotten, but not at any other change."""
    from dataclasses import replace

    with sites("fast_lane") as (rig, _, canary):
        ask(rig, b"/app.2.js")
        for changed, remembered in (
            (replace(rig.config, update_rate=2.0), True),
            (replace(rig.config, canary=replace(rig.config.canary, balance="random")), False),
        ):
            rig.gateway.snapshot = rig.fleet.snapshot(changed, rig.gateway.snapshot)
            before = rig.stats.choices["rescue"]
            assert ask(rig, b"/app.2.js").endswith(b"canary")
            assert (rig.stats.choices["rescue"] > before) is remembered
        assert len(canary.requests) == 3
