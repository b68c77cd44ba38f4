"""How the evidence of a rollout came to be what it is, for whoever comes late: in memory, of bounded size."""

from __future__ import annotations

from typing import Any

from app.rollout.state import ENDS, Rollout
from app.rollout.verdict import Verdict

LONGEST = 720


class Trail:
    """Points in time of one rollout, ever further apart as there are more: never more than LONGEST."""

    def __init__(self) -> None:
        self.rollout: str | None = None
        self.points: list[dict[str, Any]] = []
        self._every = 1
        self._skipped = 0

    def take(self, at: float, rollout: Rollout | None, verdict: Verdict | None) -> None:
        """A look at `at`, in seconds since the epoch. What comes after a rollout's end is not kept."""
        if rollout is None or (rollout.id == self.rollout and rollout.state in ENDS):
            return
        if rollout.id != self.rollout:
            self.rollout, self.points, self._every, self._skipped = rollout.id, [], 1, 0
        if verdict is None:
            return
        self._skipped += 1
        if self._skipped >= self._every or not self.points:
            self.points.append(_point(at, rollout, verdict))
            self._skipped = 0
        if len(self.points) > LONGEST:
            self.points, self._every = self.points[::2], self._every * 2


def _point(at: float, rollout: Rollout, verdict: Verdict) -> dict[str, Any]:
    """`against`: ln of the evidence, of each gate."""
    against = {gate.name: gate.against for gate in verdict.gates}
    return {"at": at, "ratio": rollout.ratio, "against": against}
