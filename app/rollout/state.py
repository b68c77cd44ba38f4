"""A rollout as it is written down: its plan, how far it is, and what it must remember to go on after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from app.rollout.plan import Plan

# So many transitions are remembered.
LONGEST_LOG = 100


class State(StrEnum):
    """Where a rollout is. The last two are its ends."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTING = "promoting"
    ABORTING = "aborting"
    DONE = "done"
    ROLLED_BACK = "rolled_back"


ENDS = frozenset((State.DONE, State.ROLLED_BACK))


@dataclass(frozen=True, slots=True)
class Entry:
    """A transition that was made: when (seconds since the epoch), into what, and why."""

    at: float
    state: State
    step: int
    reason: str


class Mark(NamedTuple):
    """Fingerprints of a config document: of all of it, and of what a rollout is about."""

    whole: str
    steered: str


NO_MARK = Mark("", "")


@dataclass(frozen=True, slots=True)
class Intent:
    """A change of the config document that was decided on: what it replaces, and what it makes.

    It is written down before it is made, so whoever finds it can tell whether it has been made.
    """

    before: Mark = NO_MARK
    after: Mark = NO_MARK


@dataclass(frozen=True, slots=True)
class Promotion:
    """The sections of the config document that a promotion exchanges: what was stable, and what becomes it."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout. Times are seconds.

    `held`: for how long this step's ratio has been in force, as of `clock` (since the epoch). `requests`: how many
    the canary had had when the step began. `trial`: which canary this is; with another one all evidence begins
    anew. `canaries`: its servers. `hands_off`: a person has changed what the pilot
    changes otherwise, so it changes nothing.
    """

    id: str
    plan: Plan
    state: State = State.WAITING
    step: int = 0
    reason: str = ""
    held: float = 0.0
    clock: float = 0.0
    requests: int = 0
    approved: bool = False
    hands_off: bool = False
    trial: int = 1
    canaries: tuple[str, ...] = ()
    intent: Intent = field(default_factory=Intent)
    promotion: Promotion | None = None
    log: tuple[Entry, ...] = ()

    @property
    def counting(self) -> bool:
        """Does what the instances see now count as evidence?"""
        warm = self.step > 0 or self.held >= self.plan.warmup
        return warm and self.state in (State.RUNNING, State.PAUSED, State.PROMOTING)

    @property
    def ratio(self) -> float:
        """The share of the present step: the canary never gets more."""
        return self.plan.steps[self.step].ratio

    @property
    def last(self) -> bool:
        """Is this the last step?"""
        return self.step == len(self.plan.steps) - 1

    def into(self, state: State, reason: str, now: float) -> Rollout:
        """In this state, for this reason."""
        log = (*self.log, Entry(now, state, self.step, reason))[-LONGEST_LOG:]
        return replace(self, state=state, reason=reason, log=log)

    def stood_still(self, since: float) -> Rollout:
        """Paused, since the config server is away; `since`: seconds since the epoch."""
        moment = datetime.fromtimestamp(since, UTC)
        reason = f"config server away since {moment:%Y-%m-%d %H:%M:%S} UTC; goes on by itself"
        return self.into(State.PAUSED, reason, since)

    def differs(self, other: Rollout) -> bool:
        """By more than time gone by? Then it must be written down before anything is done."""
        return self != replace(other, held=self.held, clock=self.clock)
