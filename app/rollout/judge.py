"""Judges a canary by the reports of all instances, look by look: what the pilot asks, and all it must keep.

A healthy canary is rolled back with a probability of at most alpha, at whatever times and however often one looks,
however long the rollout lasts and however its ratio moves. Knows no clock: who looks says how much time has gone by.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import Any

from app.errors import InvalidState
from app.rollout.cases import Case, cases
from app.rollout.confidence import rate_interval
from app.rollout.forecast import Pace, last
from app.rollout.intake import Intake
from app.rollout.look import gathered
from app.rollout.observed import FAILURES, Observed, Stratum
from app.rollout.plan import Plan
from app.rollout.share import ShareWatch
from app.rollout.verdict import INCONCLUSIVE, PASS, ROLLBACK, GateFigures, Rate, Verdict
from app.rollout.wealth import log_mean

_WORSE = {"failures": "it fails more often than it may", "slow": "it is slow more often than it may be"}


class Judge:
    """Of one canary. `begin_step` at each new ratio, `look` as often as reports come, `verdict` at any time."""

    __slots__ = ("_cases", "_intake", "_pace", "_plan", "_share", "_totals")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cases: dict[str, Case] = cases(plan)
        self._intake = Intake()
        self._totals = {"stable": [0, 0], "canary": [0, 0]}
        self.begin_step()

    @property
    def canary_requests(self) -> int:
        """How many the canary has had, as far as they count."""
        return self._totals["canary"][0]

    def begin_step(self) -> None:
        """Shares and the forecast are of one step; all evidence goes on."""
        self._pace = Pace()
        self._share = ShareWatch()

    def look(self, reports: Mapping[str, Observed], seconds: float, *, counting: bool = True) -> None:
        """Take the newest reports, `seconds` after the last look. Not `counting`: let what came pass, it is warm-up."""
        arrivals = self._intake.take(reports)
        if not counting:
            return
        self._share.sticky = arrivals.sticky
        self._share.visitors = self._intake.visitors
        for stratum in (*arrivals.strata, *arrivals.stuck):
            self._count(stratum)
        look = gathered(arrivals)
        self._pace.seconds += seconds
        self._pace.tried += look.tried
        for kind, events in {FAILURES: look.failures, **look.slow}.items():
            self._pace.take(kind, events)
        for case in self._cases.values():
            case.take(look)

    def verdict(self) -> Verdict:
        """On all that has counted so far, with all figures."""
        return Verdict(
            *self.outcome(),
            self.log_against,
            -log(self._plan.alpha),
            tuple(self._figures(name, case) for name, case in self._cases.items()),
            self._rate("stable"),
            self._rate("canary"),
            self._share.share(),
            last([case.wait(self._pace) for case in self._cases.values()]),
        )

    @property
    def log_against(self) -> float:
        """ln of the evidence of all gates: the mean of e-values is one (Vovk and Wang 2021), so they share alpha."""
        return log_mean([case.log_against for case in self._cases.values()] or [0.0])

    def outcome(self) -> tuple[str, str]:
        """ROLLBACK, PASS or INCONCLUSIVE, and why."""
        if self.log_against >= -log(self._plan.alpha):
            name, worst = max(self._cases.items(), key=lambda item: item[1].log_against)
            if worst.proven:
                return ROLLBACK, f'the canary does not pass the gate "{name}": {_WORSE[name]}'
        waiting = [name for name, case in self._cases.items() if not case.passes]
        if waiting:
            return INCONCLUSIVE, f"not enough is known yet: {', '.join(waiting)}"
        return PASS, "the canary passes all gates"

    def _figures(self, name: str, case: Case) -> GateFigures:
        needed = log(len(self._cases)) - log(self._plan.alpha)
        return GateFigures(name, case.log_against, needed, case.passes, case.figures())

    def _rate(self, version: str) -> Rate:
        requests, failures = self._totals[version]
        return Rate(requests, failures, rate_interval(failures, requests, self._plan.alpha))

    def _count(self, stratum: Stratum) -> None:
        stable, canary = stratum.stable, stratum.canary
        for version, outcomes in (("stable", stable), ("canary", canary)):
            totals = self._totals[version]
            totals[0] += outcomes.requests
            totals[1] += outcomes.failed
        self._share.take(
            stratum.ratio,
            canary.requests + canary.aborts + stratum.diverted.canary,
            stable.requests + stable.aborts + stratum.diverted.stable,
        )

    def dump(self) -> dict[str, Any]:
        """All evidence, as JSON. The shares and the pace of a step are not in it: they begin anew."""
        return {
            "cases": {name: case.dump() for name, case in self._cases.items()},
            "intake": self._intake.dump(),
            "totals": self._totals,
        }

    @classmethod
    def load(cls, plan: Plan, data: Any) -> Judge:
        """Goes on where that left off, with the same plan. Raises InvalidState."""
        judge = cls(plan)
        try:
            for name, case in judge._cases.items():
                case.restore(data["cases"][name])
            judge._intake.restore(data["intake"])
            judge._totals = {
                version: [int(count) for count in data["totals"][version]] for version in judge._totals
            }
        except (AttributeError, LookupError, TypeError, ValueError) as fault:
            raise InvalidState(f"not the evidence on a canary: {fault!r:.100}") from None
        return judge
