"""From instances' reports to what came between two looks: each event once, whatever is lost or read twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.rollout import report
from app.rollout.buckets import Buckets
from app.rollout.evidence import Bad
from app.rollout.first_events import first_events
from app.rollout.observed import KINDS, Observed, Recent, Stratum, Visitors

# An instance that is not heard of for so many looks is forgotten. Should it come back, it is new.
_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What has come since the last look. `strata`: of the instances where visitors do not stick, `stuck`: of those
    where they do; whose bad events that count are `firsts`, by kind.

    `visitors`: how many of them the canary has gained; `sticky`: whether they stick anywhere.
    """

    strata: tuple[Stratum, ...]
    stuck: tuple[Stratum, ...]
    firsts: Mapping[str, list[Bad]]
    visitors: int
    sticky: bool


@dataclass(slots=True, eq=False)
class _Known:
    """An instance as it was at its last report. `visitors`: of its canary, before it was known."""

    strata: Mapping[float, Stratum]
    visitors: int
    silent: int = 0


class Intake:
    """Remembers how far each instance's counts have been taken, and whom something befell.

    What an instance had counted before its first report was taken is never taken: it may be older than the rollout.
    """

    __slots__ = ("_hits", "_known", "_seen", "_visitors")

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._seen = Buckets()
        self._hits = {kind: Buckets() for kind in KINDS}
        self._visitors = 0

    def take(self, reports: Mapping[str, Observed]) -> Arrivals:
        """The newest report of each instance, by its id."""
        visitors = self._visitors
        strata: list[Stratum] = []
        stuck: list[Stratum] = []
        recent: dict[str, list[Recent]] = {kind: [] for kind in KINDS}
        for instance, observed in reports.items():
            known = self._known.get(instance)
            if observed.visitors:
                self._meet(observed.visitors, known, recent)
            if known:
                (stuck if observed.visitors else strata).extend(_grown(observed.strata, known.strata))
            self._know(instance, observed, known)
        self._forget(reports)
        firsts = {kind: first_events(groups, self._seen, self._hits[kind]) for kind, groups in recent.items()}
        sticky = any(observed.visitors for observed in reports.values())
        return Arrivals(tuple(strata), tuple(stuck), firsts, self._visitors - visitors, sticky)

    def _meet(self, visitors: Visitors, known: _Known | None, recent: dict[str, list[Recent]]) -> None:
        self._seen.join(visitors.part, visitors.seen)
        if known:
            # The same visitors may come to all instances: one instance's count is sure, their sum is not.
            self._visitors = max(self._visitors, visitors.canary - known.visitors)
        for kind, groups in visitors.recent.items():
            if known:
                recent[kind].extend(groups)
            else:
                first_events(groups, self._seen, self._hits[kind])

    def _know(self, instance: str, observed: Observed, known: _Known | None) -> None:
        count = observed.visitors.canary if observed.visitors else 0
        before = min(known.visitors, count) if known else count
        self._known[instance] = _Known({stratum.ratio: stratum for stratum in observed.strata}, before)

    def _forget(self, present: Mapping[str, Observed]) -> None:
        for known in (self._known[instance] for instance in self._known.keys() - present.keys()):
            known.silent += 1
        self._known = {name: known for name, known in self._known.items() if known.silent < _PATIENCE}

    @property
    def visitors(self) -> int:
        """How many the canary has had at least, where they stick."""
        return self._visitors

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        instances = {
            name: report.dump(Observed(tuple(known.strata.values()))) | {"canary": known.visitors}
            for name, known in self._known.items()
        }
        hits = {kind: hit.dump() for kind, hit in self._hits.items()}
        return {"instances": instances, "seen": self._seen.dump(), "hits": hits, "visitors": self._visitors}

    def restore(self, data: dict[str, Any]) -> None:
        """Go on from what was dumped. Raises InvalidState, LookupError, TypeError, ValueError."""
        for name, known in data["instances"].items():
            strata = report.load(known).strata
            self._known[name] = _Known({stratum.ratio: stratum for stratum in strata}, int(known["canary"]))
        self._seen = Buckets.load(data["seen"])
        self._hits = {kind: Buckets.load(data["hits"][kind]) for kind in KINDS}
        self._visitors = int(data["visitors"])


def _grown(now: tuple[Stratum, ...], before: Mapping[float, Stratum]) -> Iterator[Stratum]:
    """What has come, by ratio; not what counts less than before: that ratio was forgotten and began anew."""
    for stratum in now:
        known = before.get(stratum.ratio, Stratum(stratum.ratio))
        if stratum == known:
            continue
        grown = stratum.since(known)
        if grown.stable.whole and grown.canary.whole:
            yield grown
