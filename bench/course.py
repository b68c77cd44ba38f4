"""The course that a rollout has taken, as the config server's history and the pilots' logs have it.

The history has each version of a document with its revision, and there is one order of revisions for all keys.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.support.processes import fetch
from tests.support.stack import KEY, Stack

ROLLOUT = f"{KEY.partition('/')[0]}/rollout"
# What the log of a rollout says of each step that begins.
_STEP = re.compile(r"(started: )?\S+ % to the canary")
# What a pilot says of each that it has written down.
_DONE = re.compile(r"^(?P<at>\S+ \S+) .* rollout \S+ is \w+: (?P<reason>.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Version:
    """Of a document."""

    revision: int
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """All versions of both documents, the oldest first."""

    rollouts: Sequence[Version]
    configs: Sequence[Version]

    @classmethod
    def of(cls, stack: Stack) -> Course:
        """Of the rollout that there is."""
        return cls(_versions(stack, ROLLOUT), _versions(stack, KEY))

    def faults(self) -> list[str]:
        """What should not be in that of a rollout that is done, one sentence each."""
        return [*self._wrong_steps(), *self._wrong_ratios(), *self._above()]

    @property
    def _plan(self) -> list[float]:
        return [step["ratio"] for step in self.rollouts[-1].value["steps"]]

    def _wrong_steps(self) -> list[str]:
        log = self.rollouts[-1].value["log"]
        steps = [entry["step"] for entry in log if _STEP.fullmatch(entry["reason"])]
        return [] if steps == list(range(len(self._plan))) else [f"the steps {steps} are in its log"]

    def _wrong_ratios(self) -> list[str]:
        """Each once and in order, and 0 at the promotion: none is lost, none is written twice."""
        ratios = [config.value["ratio"] for config in self.configs[1:]]
        return [] if ratios == [*self._plan, 0] else [f"the ratios {ratios} were written"]

    def _above(self) -> list[str]:
        """A ratio stands in the rollout before it is given."""
        return [
            f"{config.value['ratio']} was in force while {allowed} was the step"
            for config in self.configs[1:]
            if config.value["ratio"] > (allowed := self._allowed(config.revision))
        ]

    def _allowed(self, revision: int) -> float:
        before = [each.value for each in self.rollouts if each.revision < revision]
        return float(before[-1]["steps"][before[-1]["step"]]["ratio"]) if before else 0.0


def interleaved(logs: Sequence[str], takeovers: int) -> list[str]:
    """What in the logs of several pilots should not be: a thing done twice, or more turns than there were leaders."""
    done = sorted(
        (found["at"], found["reason"], number)
        for number, log in enumerate(logs)
        for found in _DONE.finditer(log)
    )
    reasons = Counter(reason for _, reason, _ in done)
    faults = [f"done {count} times: {reason}" for reason, count in reasons.items() if count > 1]
    turns = [number for number, _ in groupby(number for _, _, number in done)]
    if len(turns) > takeovers + 1:
        faults.append(f"{len(turns)} turns in {takeovers} takeovers")
    return faults


def _versions(stack: Stack, key: str) -> list[Version]:
    url = f"{stack.kv_url}/v1/kv/{key}"
    known = fetch("GET", url, params={"history": 100}).json()["versions"]
    revisions = [version["revision"] for version in reversed(known)]
    return [Version(each, fetch("GET", url, params={"rev": each}).json()) for each in revisions]
