"""Where the verdict's numbers come from. So far: what the instances report themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from app.errors import InvalidState
from app.pilot.instances import Instance
from app.rollout import report
from app.rollout.observed import Observed

log = logging.getLogger(__name__)


class Numbers(Protocol):
    """`start` and `stop` rule whatever keeps them fresh."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def read(self, instances: Iterable[Instance]) -> Mapping[str, Observed]:
        """The newest of each instance, by an id that is nobody else's, and does not wait for it.

        Raises NumbersAway when there are none to judge by.
        """


class Reports:
    """The instances' own: exact, and of each visitor where they stick."""

    def start(self) -> None:
        """There is nothing to start: they come with the instances."""

    def stop(self) -> None:
        """Nor to stop."""

    def read(self, instances: Iterable[Instance]) -> Mapping[str, Observed]:
        found = {}
        for instance in instances:
            try:
                found[instance.id] = report.load(instance.report["observed"])
            except (InvalidState, LookupError):
                log.warning("instance %s reports nothing for the verdict", instance.id)
        return found
