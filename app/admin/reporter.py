"""Tells the config server, once a second, that this instance lives and how it fares; and asks what it must know.

The report is a key that goes by itself when it is not written again. A config server that is away costs an
attempt now and then and one line in the log; nothing is kept for it, since every report stands for all before.
"""

from __future__ import annotations

import json
import logging
import random
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event

from app.config.keys import KeyClient, Write
from app.errors import ConfigMissing, ConfigServerError

log = logging.getLogger(__name__)

PERIOD = 1.0
# Seconds from a change to its report, drawn anew each time: whoever shares our machine has it to put in force first.
MOMENT = (0.1, 0.25)
# A report that is not renewed goes after so many seconds.
TTL = 5.0
# What a config server that does not answer is given, and how long it is left alone at the most.
LIMIT = 2.0
_LONGEST_BACKOFF = 5.0


class Reporter:
    """Writes `report()` under `prefix`, at the config server that `urls()` names now.

    `start` and `stop` rule its greenlet; `hurry` has it report in a moment. After each report comes `ask`, which has
    its own ways with what fails.
    """

    def __init__(
        self,
        report: Callable[[], Mapping[str, Any]],
        prefix: str,
        urls: Callable[[], str],
        connect: Callable[[str], KeyClient],
        *,
        pid: int,
        ask: Callable[[KeyClient], None] = lambda _keys: None,
        period: float = PERIOD,
        rng: random.Random | None = None,
    ) -> None:
        self._report = report
        self._urls = urls
        self._connect = connect
        self._ask = ask
        self._period = period
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, hides nothing
        self.id = f"{_host()}-{pid}-{self._rng.getrandbits(32):08x}"
        self.key = prefix + self.id
        self._sooner = Event()
        self._stopped = False
        self._client: KeyClient | None = None
        self._asked = ""
        self._failures = 0
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Report now, and every `period` seconds from now on."""
        self._greenlet = gevent.spawn(self._run)

    def hurry(self) -> None:
        """Something has changed that others wait to hear of."""
        if not self._failures:
            self._sooner.set()

    def stop(self) -> None:
        """Report no more, and take the last report back, unless the config server makes us wait for it."""
        self._stopped = True
        self._sooner.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=LIMIT)
            self._greenlet.kill(block=False)
        self._take_back()

    def _run(self) -> None:
        while not self._stopped:
            self._sooner.clear()
            try:
                self._write()
            except ConfigServerError as fault:
                self._note_failure(fault)
            except Exception:
                log.exception("this instance could not be reported")
            else:
                self._note_success()
            if self._sooner.wait(self._pause()) and not self._stopped:
                gevent.sleep(self._rng.uniform(*MOMENT))

    def _write(self) -> None:
        client = self._connected()
        raw = json.dumps(self._report(), allow_nan=False, separators=(",", ":")).encode()
        client.put(self.key, raw, Write(ttl=TTL))
        self._ask(client)

    def _connected(self) -> KeyClient:
        urls = self._urls()
        if self._client is None or urls != self._asked:
            self._take_back()
            self._client, self._asked = self._connect(urls), urls
        return self._client

    def _take_back(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if not self._failures:
                client.delete(self.key)
        except ConfigMissing:
            pass
        except ConfigServerError as fault:
            log.info("the report of this instance stays until its time is over: %s", fault)
        finally:
            client.close()

    def _pause(self) -> float:
        """Instances drift apart, so that they do not report all at once."""
        if not self._failures:
            return self._period * self._rng.uniform(0.9, 1.0)
        return self._rng.uniform(0.5, 1.0) * min(
            _LONGEST_BACKOFF, self._period * 2.0 ** min(self._failures, 10)
        )

    def _note_failure(self, fault: ConfigServerError) -> None:
        if not self._failures:
            log.warning("the config server does not take this instance's reports: %s", fault)
        self._failures += 1

    def _note_success(self) -> None:
        if self._failures:
            log.info("the config server takes this instance's reports again")
        self._failures = 0


def _host() -> str:
    """This machine's name, as it may be part of a key."""
    return re.sub(r"[^A-Za-z0-9._~-]", "-", socket.gethostname())[:64].strip(".") or "host"
