"""Reports of instances, as small as a test needs them."""

from __future__ import annotations

from app.rollout.observed import Diverted, Observed, Outcomes, Stratum


def outcomes(
    requests: int, failures: int = 0, slow: tuple[int, ...] = (0, 0, 0, 0), aborts: int = 0
) -> Outcomes:
    """Of one version."""
    return Outcomes(requests, aborts, {"status_500": failures} if failures else {}, slow)


def observed(ratio: float, stable: Outcomes, canary: Outcomes, diverted: int = 0) -> Observed:
    """Of an instance that has known one ratio only."""
    return Observed((Stratum(ratio, stable, canary, Diverted(diverted)),))
