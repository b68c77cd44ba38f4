"""Gives the config server the schema of our document, so that it takes no other, whoever sends it.

Nobody waits for this and nothing depends on it: a config server that knows no schemas, or a token that may not
write them, is asked again now and then. What each instance reads it checks by itself all the same.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable

import gevent
from gevent import Greenlet
from gevent.event import Event

from app.config.client import ConfigClient
from app.config.json_schema import NAME, json_schema
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError

log = logging.getLogger(__name__)

# Seconds between two tries, doubled with each that fails; and between two looks for another config server.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
_NUMBER = re.compile(r"[0-9]{1,9}")


class Registration:
    """`urls` says which config server is asked at present, `connect(urls)` makes a client of its schemas."""

    def __init__(
        self, connect: Callable[[str], ConfigClient], urls: Callable[[], str], *, pause: float = FIRST_PAUSE
    ) -> None:
        self._connect = connect
        self._urls = urls
        self._shortest = pause
        self._stopped = Event()
        self._done: str | None = None
        self._fault = ""
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End it at once, whatever is under way: it can be made up for at any time."""
        self._stopped.set()
        if self._greenlet is not None:
            self._greenlet.kill(timeout=3)

    def _run(self) -> None:
        pause = self._shortest
        while not self._stopped.is_set():
            pause = self._shortest if self._is_registered() else min(2 * pause, LONGEST_PAUSE)
            self._stopped.wait(pause)

    def _is_registered(self) -> bool:
        urls = self._urls()
        try:
            if urls != self._done:
                register(self._connect(urls))
                self._done, self._fault = urls, ""
        except (ConfigConflict, ConfigServerError) as fault:
            self._note(str(fault))
        except Exception:
            log.exception("the schema could not be given to the config server")
        return urls == self._done

    def _note(self, fault: str) -> None:
        if fault != self._fault:
            log.info("the config server has no schema from here: %s", fault)
        self._fault = fault


def register(client: ConfigClient) -> None:
    """Put our schema where there is none, or an older one of ours. Raises ConfigConflict, ConfigServerError."""
    raw = json.dumps(json_schema()).encode()
    try:
        present = client.read()
        if present and present.etag and _gives_way(present.raw, raw):
            client.replace(raw, present.etag)
            log.info("schema of the config document replaced at the config server")
    except ConfigMissing:
        client.create(raw)
        log.info("schema of the config document given to the config server")
    finally:
        client.close()


def _gives_way(present: bytes, ours: bytes) -> bool:
    """Whether `present` is one of ours too, and not of a later version: that one knows more than we do."""
    name, our_name = _name(present), _name(ours)
    return present != ours and name.startswith(NAME) and _version(name) <= _version(our_name)


def _name(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["$id"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _version(name: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(name)]
