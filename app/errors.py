"""Every way Serin says no: one family a package, each error with the status it suggests.

The floor that finds a fault raises it; the front that talks to the client decides what becomes of it.
`reason` is a short, stable word: it labels metrics and appears in the text sent to the client, so it
never holds an address or anything a client sent.
"""

from __future__ import annotations


class SerinError(Exception):
    """Root of the families. `status` is the HTTP status suggested to the front."""

    status = 500
    reason = "internal"


class WireError(SerinError):
    """Bytes that break HTTP/1.1 or a limit. The connection they came on cannot be used further."""

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.status = status
        self.reason = reason


class BalanceError(SerinError):
    """No server may take this request."""

    status = 503
    reason = "no_server"


class Overloaded(SerinError):
    """There is more to do than may be done at one time; later there may be less."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UpstreamError(SerinError):
    """A server did not do its part. `sent` tells whether any byte of the request may have reached it."""

    status = 502
    reason = "upstream"

    def __init__(self, reason: str, status: int = 502, *, sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.sent = sent


class ConfigError(SerinError):
    """Root of what can go wrong with the config document or the config server."""

    reason = "config"


class InvalidConfig(ConfigError):
    """The document is not a config. `faults` maps a dotted field ("" is the whole document) to its reason."""

    reason = "invalid_config"

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field or 'document'}: {why}" for field, why in faults.items()))
        self.faults = faults


class ConfigServerError(ConfigError):
    """The config server could not be reached, or answered something that is not its contract."""

    reason = "config_server"


class ConfigMissing(ConfigServerError):
    """The config server is well and has no document under this key."""

    reason = "config_missing"


class ConfigConflict(ConfigServerError):
    """The document changed, or came to be, since it was read. `etag` is the one in force now."""

    reason = "config_conflict"

    def __init__(self, message: str, etag: str) -> None:
        super().__init__(message)
        self.etag = etag


class RolloutError(SerinError):
    """Root of what can go wrong with a rollout's documents."""

    reason = "rollout"


class InvalidPlan(RolloutError):
    """The document is not a plan. `faults` as in InvalidConfig."""

    reason = "invalid_plan"

    def __init__(self, faults: dict[str, str]) -> None:
        super().__init__("; ".join(f"{field or 'plan'}: {why}" for field, why in faults.items()))
        self.faults = faults


class InvalidState(RolloutError):
    """What was written down of a rollout or its evidence, or reported by an instance, cannot be read."""

    reason = "invalid_state"


class CommandRefused(RolloutError):
    """What a person asked for cannot be done in the rollout's state. The text says why, and what can."""

    status = 409
    reason = "command_refused"


class NumbersAway(RolloutError):
    """There are no numbers to judge a canary by. The text says why."""

    reason = "numbers_away"


class PilotAway(RolloutError):
    """The pilot could not be reached, or answered something that is not its contract."""

    reason = "pilot_away"
