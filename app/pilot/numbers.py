"""Where the verdict's numbers come from: here, what the instances report themselves; or `prometheus`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from app.errors import InvalidState
from app.pilot.instances import Instance
from app.rollout import report
from app.rollout.observed import Observed

log = logging.getLogger(__name__)


# A rollout's id, and which canary of it is tried.
Trial = tuple[str, int]


class Reading(NamedTuple):
    """The newest of each instance, by its id. `lacking`: what is not there though it should be; None: nothing."""

    observed: Mapping[str, Observed]
    lacking: str | None = None


class Numbers(Protocol):
    """`start` and `stop` rule whatever keeps them fresh."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def read(self, instances: Iterable[Instance], trial: Trial) -> Reading:
        """What there is of these; does not wait for it. Nothing is older than the trial, but for a second or two.

        Raises NumbersAway when there are none to judge by.
        """


class Reports:
    """The instances' own: exact, and of each visitor where they stick."""

    def start(self) -> None:
        """There is nothing to start: they come with the instances."""

    def stop(self) -> None:
        """Nor to stop."""

    def read(self, instances: Iterable[Instance], trial: Trial) -> Reading:
        """Who reports nothing for the verdict is left out."""
        found = {}
        for instance in instances:
            try:
                found[instance.id] = report.load(instance.report["observed"])
            except (InvalidState, LookupError):
                log.warning("instance %s reports nothing for the verdict", instance.id)
        return Reading(found)
