"""Watchers that write down all they are told, and what has to be true of it.

Of what one server tells of a key, in the order in which it does: nothing was never committed, and nothing is older than
what was told before. In the end each knows what is there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection

import gevent

from kv.model import NO_ETAG
from tests.support.events import Event, EventSource
from tests.support.raw import Address

States = Mapping[str, Sequence[str]]
"""For each key, the ETags it has had, in their order, NO_ETAG for each time it was not there."""


class Watcher:
    """Goes on over the end of every connection, from where it was. `address`: where the server is now.

    `told`: for each key, the ETags it was told. `known`: what it takes for the present.
    """

    def __init__(self, address: Callable[[], Address], path: str, *, pause: float = 0.0) -> None:
        self._address, self._path, self._pause = address, path, pause
        self.told: dict[str, list[str]] = defaultdict(list)
        self.known: dict[str, str] = {}
        self.values: dict[str, object] = {}
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Raises whatever went wrong."""
        self._greenlet.kill()
        self._greenlet.get()

    @property
    def present(self) -> dict[str, str]:
        """The keys that are there, and their ETags."""
        return {key: etag for key, etag in self.known.items() if etag != NO_ETAG}

    def _run(self) -> None:
        while True:
            try:
                self._connect()
            except OSError:
                gevent.sleep(0.005)

    def _connect(self) -> None:
        raise NotImplementedError

    def _take(self, key: str, etag: str, value: object) -> None:
        self.told[key].append(etag)
        self.known[key] = etag
        if etag != NO_ETAG:
            self.values[etag] = value
        gevent.sleep(self._pause)


class KeyWatcher(Watcher):
    """By a stream of one key."""

    last: str | None = None

    def _connect(self) -> None:
        with EventSource(self._address(), f"/v1/kv/{self._path}", self.last) as stream:
            for event in stream:
                assert event.identity != self.last, "told what it had"
                assert (event.kind == "delete") == (event.identity == NO_ETAG)
                self.last = event.identity
                self._take(self._path, event.identity, event.json)


class PrefixWatcher(Watcher):
    """By a stream of a prefix. `resets`: how often it had to begin anew."""

    last: str | None = None
    resets = 0

    def _connect(self) -> None:
        with EventSource(self._address(), f"/v1/kv/{self._path}", self.last) as stream:
            for event in stream:
                self._heard(event)
                self.last = event.identity or None

    def _heard(self, event: Event) -> None:
        if event.kind == "reset":
            self.resets += 1
            self.known = {}
        elif event.kind in ("put", "delete"):
            assert (event.kind == "delete") == (event.json["etag"] == NO_ETAG)
            self._take(event.json["key"], event.json["etag"], event.json["value"])


class Poller(Watcher):
    """By asking again and again."""

    last: str = ""

    def _connect(self) -> None:
        connection = HTTPConnection(*self._address(), timeout=10)
        try:
            while True:
                headers = {"If-None-Match": self.last} if self.last else {}
                connection.request("GET", f"/v1/kv/{self._path}?wait=0.3", headers=headers)
                response = connection.getresponse()
                body = response.read()
                assert response.status in (200, 304, 404), body
                if response.status != 304:
                    self.last = response.headers["ETag"]
                    self._take(self._path, self.last.strip('"'), json.loads(body))
        finally:
            connection.close()


def check(watcher: Watcher, states: States, values: Mapping[str, object]) -> None:
    """Raises AssertionError for anything told that was not so, or not any more."""
    for key, told in watcher.told.items():
        assert_in_order(told, states[key], key)
    wrong = {etag for etag, value in watcher.values.items() if values[etag] != value}
    assert not wrong, "told another value than was committed"


def assert_in_order(told: Sequence[str], states: Sequence[str], what: str = "") -> None:
    """That `told` can be seen by looking at `states` now and then, going forward only."""
    place = 0
    for etag in told:
        assert etag in states, f"{what}: {etag} never was"
        assert etag in states[place:], f"{what}: {etag} was over"
        place = states.index(etag, place)
