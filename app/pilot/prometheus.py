"""The verdict's numbers by way of a Prometheus that scrapes the instances, over its HTTP API.

Counts are the instances' own, told apart by their id: an instance that starts again is another one, and begins at
zero. What is older than what was known already, of another Prometheus behind the same address, say, is not taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import NamedTuple
from urllib.parse import urlsplit

import gevent
from gevent import Greenlet
from gevent.event import Event
from requests import Session

from app.config.calls import Caller
from app.errors import ConfigServerError, InvalidState, NumbersAway
from app.pilot.instances import Instance
from app.pilot.numbers import Reading, Trial
from app.pilot.series import PREFIX, Figures, read

log = logging.getLogger(__name__)

PERIOD = 1.0
# Figures that have stayed the same for so many seconds are stale: more than Prometheus' usual minute between scrapes.
PATIENCE = 90.0
_LIMIT = 3.0
_LARGEST = 32 * 1024 * 1024
# Whoever has not been heard of for so many times the patience is forgotten.
_MEMORY = 10
_LONG_AGO = -inf


class _Known(NamedTuple):
    """`since`: when they were new, by our clock; _LONG_AGO until they have been seen to change, for who knows."""

    figures: Figures
    since: float


class Prometheus:
    """`url`: up to its `/api`. `labels`: matchers for the series, as in `job="serin"`; "" takes all that it has.

    `start` and `stop` rule the greenlet that asks every `period` seconds. Raises ValueError when the address is none.
    """

    def __init__(
        self,
        url: str,
        labels: str = "",
        token: str | None = None,
        *,
        period: float = PERIOD,
        patience: float = PATIENCE,
        new_session: Callable[[], Session] = Session,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ValueError("the address of a Prometheus ends before its /api")
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._caller = Caller(f"{parts.scheme}://{parts.netloc}", token, _LIMIT, _LARGEST, new_session)
        self._query = f'{{__name__=~"{PREFIX}.+"{labels and ", "}{labels}}}'
        self._period = period
        self._patience = patience
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._trial: Trial | None = None
        self._begun = 0.0
        self._trouble: str | None = "Prometheus has not answered yet"
        self._stopped = Event()
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Ask now, and every `period` seconds."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self._caller.close()
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def read(self, instances: Iterable[Instance], trial: Trial) -> Reading:
        """As of the last answer. Those that drain are not waited for."""
        if trial != self._trial:
            self._trial, self._begun = trial, self._clock()
        living = tuple(instances)
        known = self._known_of(living)
        # What another canary did at the same ratio must not be held against this one.
        ours = {name: each for name, each in known.items() if each.since >= self._begun}
        fresh = {name for name, each in ours.items() if self._clock() - each.since < self._patience}
        late = [each.name for each in living if not each.draining and each.id not in fresh]
        return Reading({name: each.figures.observed for name, each in ours.items()}, _lacking(late))

    def ask(self) -> None:
        """Once. What goes wrong is told to whoever reads."""
        try:
            found = self._answer()
        except (ConfigServerError, InvalidState) as fault:
            self._note(f"Prometheus {fault}")
        else:
            self._note(None)
            self._take(found)

    def _known_of(self, instances: Iterable[Instance]) -> dict[str, _Known]:
        """By id. Raises NumbersAway."""
        if self._trouble is not None:
            raise NumbersAway(self._trouble)
        known = {each.id: self._known[each.id] for each in instances if each.id in self._known}
        if not known:
            raise NumbersAway("Prometheus has no figures of any instance: it must scrape their admin ports")
        if any(each.figures.sticky for each in known.values()):
            raise NumbersAway(
                "visitors stick, and Prometheus cannot tell them apart: leave PROMETHEUS_URL out"
            )
        return known

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.ask()
            except Exception:
                log.exception("the figures of Prometheus could not be taken")
                self._trouble = "the figures of Prometheus could not be taken; the pilot's log says why"
            self._stopped.wait(self._period)

    def _answer(self) -> dict[str, Figures]:
        with self._caller.session() as session:
            answer = self._caller.exchange(session, "GET", self._url, params={"query": self._query})
        # A query that it refuses is told in JSON as well; what stands in front of it tells nothing.
        if answer.status not in (200, 400, 422, 503):
            raise InvalidState(f"answered {answer.status}")
        return read(answer.body)

    def _take(self, found: dict[str, Figures]) -> None:
        now = self._clock()
        for identity, figures in found.items():
            known = self._known.get(identity)
            if known is None:
                self._known[identity] = _Known(figures, _LONG_AGO)
            elif known.figures.at < figures.at:
                self._known[identity] = _Known(figures, now)
        oldest = now - _MEMORY * self._patience
        self._known = {
            identity: known
            for identity, known in self._known.items()
            if identity in found or known.since > oldest
        }

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble


def _lacking(late: list[str]) -> str | None:
    """A sentence, however many there are."""
    if not late:
        return None
    others = f" and {len(late) - 3} others" if len(late) > 3 else ""
    return f"Prometheus has no fresh figures of {', '.join(late[:3])}{others}"
