"""The one that drives: once a second it looks at all instances, judges, and does what the controller decides.

Every write is made on condition that this pilot leads and that nobody has written the rollout or the config document
meanwhile. A write that comes too late is given up: the next look starts from what is there then.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
from gevent import Greenlet
from gevent.event import Event
from gevent.lock import RLock

from app.config.editor import Editor
from app.config.keys import KeyClient, Stored, Write
from app.config.schema import load as load_config
from app.errors import (
    CommandRefused,
    ConfigConflict,
    ConfigMissing,
    ConfigServerError,
    InvalidConfig,
    InvalidState,
)
from app.pilot.history import History
from app.pilot.instances import Instance, instances
from app.pilot.lease import Lease
from app.pilot.trail import Trail
from app.pilot.webhooks import Webhooks
from app.rollout import journal, report
from app.rollout.controller import advance
from app.rollout.document import Document
from app.rollout.effects import Action, Ask
from app.rollout.effects import Write as Steer
from app.rollout.judge import Judge
from app.rollout.observed import Observed
from app.rollout.plan import Plan
from app.rollout.situation import Command, Situation
from app.rollout.state import ENDS, Rollout
from app.rollout.verdict import Verdict

log = logging.getLogger(__name__)

PERIOD = 1.0
# Seconds between two times that time gone by and evidence are written down, if nothing else happens.
_KEEP_EVERY = 5.0
# For so many seconds evidence is kept while no pilot runs.
_EVIDENCE_TTL = 86_400.0
_AUTHOR = "pilot"


@dataclass(slots=True)
class View:
    """What was seen at the last look. `trouble`: why there was none lately. `at`: seconds since the epoch."""

    at: float = 0.0
    leads: bool = False
    leader: str | None = None
    trouble: str | None = None
    instances: tuple[Instance, ...] = ()
    config: Stored | None = None
    document: Document | None = None
    rollout: Rollout | None = None
    situation: Situation | None = None
    verdict: Verdict | None = None
    changed: Event = field(default_factory=Event)


class Pilot:
    """Of one service. `start` and `stop` rule its greenlet; `command` and `begin` act at once."""

    def __init__(
        self,
        keys: KeyClient,
        config_key: str,
        webhooks: Webhooks,
        *,
        identity: str | None = None,
        period: float = PERIOD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.service = config_key.partition("/")[0]
        self.keys = keys
        self.editor = Editor(keys, config_key)
        self.lease = Lease(keys, self.service, identity or secrets.token_hex(6))
        self.view = View()
        self.trail = Trail()
        self.history = History(keys, config_key)
        self._webhooks = webhooks
        self._period = period
        self._clock = clock
        self._lock = RLock()
        self._judge: Judge | None = None
        self._judged: tuple[str, int, int] | None = None
        self._looked = clock()
        self._kept = 0.0
        self._confirmed: tuple[str, int, int] | None = None
        self._stopped = Event()
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Look now, and every `period` seconds."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Look no more, and let another pilot lead."""
        self._stopped.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=5)
            self._greenlet.kill(block=False)
        self.lease.release()
        self._webhooks.stop()

    def look(self) -> None:
        """One look at everything, and what follows from it. What goes wrong is told in the view."""
        with self._lock:
            try:
                self._look()
                self.view.trouble = None
                self.trail.take(self.view.at, self.view.rollout, self.view.verdict)
            except ConfigConflict:
                log.info("somebody has written meanwhile: looking again")
            except ConfigServerError as fault:
                self._note(f"the config server does not answer: {fault}")
            except InvalidState as fault:
                self._note(str(fault))
            self._tell()

    def command(self, command: Command, who: str) -> Rollout:
        """Carry out what a person asks for. Raises CommandRefused, ConfigConflict and ConfigServerError."""
        with self._lock:
            self._require_lead()
            stored, rollout = self._read_rollout()
            if rollout is None or stored is None:
                raise CommandRefused(f"cannot {command}: there is no rollout")
            after = self._decide(stored, rollout, command, who)
            self._tell()
            return after

    def begin(self, plan: Plan, who: str) -> Rollout:
        """Start a rollout. Raises CommandRefused while another is under way."""
        with self._lock:
            self._require_lead()
            stored, former = self._read_rollout()
            if former is not None and former.state not in ENDS:
                raise CommandRefused(f"a rollout is {former.state} already: abort it first")
            now = self._clock()
            identity = f"{time.strftime('%Y-%m-%d', time.gmtime(now))}-{secrets.token_hex(2)}"
            rollout = Rollout(identity, plan, clock=now)
            self._save(rollout, stored.etag if stored else "0", f"started by {who}")
            self._judge = None
            self.look()
            return rollout

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception:
                log.exception("a look failed")
            self._stopped.wait(self._period)

    def _look(self) -> None:
        view, now = self.view, self._clock()
        view.leads = self.lease.hold()
        view.leader = self.lease.identity if view.leads else self.lease.holder()
        view.instances = instances(self.keys, self.service)
        stored, rollout = self._read_rollout()
        view.rollout = rollout
        view.config, view.document = self._read_config()
        view.at = now
        seconds, self._looked = now - self._looked, now
        if rollout is None or stored is None or rollout.state in ENDS:
            return
        judge = self._judge_of(rollout)
        judge.look(self._observed(), min(seconds, 5.0), counting=rollout.counting)
        view.verdict = judge.verdict()
        if view.leads:
            self._decide(stored, rollout)

    def _decide(
        self, stored: Stored, rollout: Rollout, command: Command | None = None, who: str = ""
    ) -> Rollout:
        config, document = self._read_config()
        situation = self._situation(rollout, document, command, who)
        after, action = advance(rollout, situation, self._clock())
        self.view.rollout, self.view.situation = after, situation
        self.view.config, self.view.document = config, document
        etag = stored.etag
        if after.differs(rollout):
            etag = self._save(after, etag, after.reason)
            self._announce(rollout, after)
        elif after != rollout and self._clock() - self._kept >= _KEEP_EVERY:
            etag = self._save(after, etag, "time goes by")
        self._act(after, action, etag, config)
        return after

    def _act(self, rollout: Rollout, action: Action, etag: str, config: Stored | None) -> None:
        if isinstance(action, Steer) and config is not None:
            conditions = self._lead() | {self._rollout_key: etag, config.key: config.etag}
            how = Write(author=_AUTHOR, note=f"rollout {rollout.id}: {rollout.reason}")
            self.keys.transact(conditions, config.key, action.document, how)
        elif isinstance(action, Ask):
            event = {"ask": "confirm", "rollout": rollout.id, "step": action.step, "ratio": rollout.ratio}
            if self._webhooks.confirmed(rollout.plan.confirm, event):
                self._confirmed = _place(rollout)

    def _save(self, rollout: Rollout, etag: str, note: str) -> str:
        """The evidence first: the rollout may count on it."""
        self._kept = self._clock()
        if self._judge is not None and self._judged is not None and self._judged[0] == rollout.id:
            self._keep_evidence(rollout, self._judge)
        conditions = self._lead() | {self._rollout_key: etag}
        how = Write(author=_AUTHOR, note=note)
        return self.keys.transact(conditions, self._rollout_key, journal.dump(rollout), how).etag

    def _keep_evidence(self, rollout: Rollout, judge: Judge) -> None:
        evidence = {"id": rollout.id, "trial": rollout.trial, "evidence": judge.dump()}
        try:
            self.keys.put(f"{self.service}/evidence", json.dumps(evidence).encode(), Write(ttl=_EVIDENCE_TTL))
        except ConfigServerError as fault:
            log.warning("the evidence could not be written down: %s", fault)

    def _judge_of(self, rollout: Rollout) -> Judge:
        place = _place(rollout)
        if self._judge is None or self._judged is None or self._judged[:2] != place[:2]:
            self._judge = self._remembered(rollout)
        elif self._judged != place:
            self._judge.begin_step()
        self._judged = place
        return self._judge

    def _remembered(self, rollout: Rollout) -> Judge:
        try:
            kept = json.loads(self.keys.get(f"{self.service}/evidence").raw)
            if (kept["id"], kept["trial"]) == (rollout.id, rollout.trial):
                return Judge.load(rollout.plan, kept["evidence"])
        except (ConfigMissing, InvalidState, ValueError, LookupError, TypeError):
            log.info("no evidence of rollout %s is kept: it begins anew", rollout.id)
        return Judge(rollout.plan)

    def _situation(
        self, rollout: Rollout, document: Document | None, command: Command | None, who: str
    ) -> Situation:
        verdict = self.view.verdict
        if verdict is None or self._judge is None or self._judged is None or self._judged[0] != rollout.id:
            return Situation(document, command=command, who=who)
        return Situation(
            document,
            verdict.outcome,
            verdict.reason,
            self._judge.canary_requests,
            verdict.share.alarm,
            self._confirmed == _place(rollout),
            command,
            who,
        )

    def _observed(self) -> dict[str, Observed]:
        found = {}
        for instance in self.view.instances:
            try:
                found[instance.id] = report.load(instance.report["observed"])
            except (InvalidState, LookupError):
                log.warning("instance %s reports nothing for the verdict", instance.id)
        return found

    def _read_rollout(self) -> tuple[Stored | None, Rollout | None]:
        try:
            stored = self.keys.get(self._rollout_key)
        except ConfigMissing:
            return None, None
        try:
            return stored, journal.load(json.loads(stored.raw))
        except ValueError as fault:
            raise InvalidState(f"the rollout is not JSON: {fault}") from None

    def _read_config(self) -> tuple[Stored | None, Document | None]:
        try:
            stored, document = self.editor.read()
            load_config(document)
        except (ConfigMissing, InvalidConfig):
            return None, None
        return stored, document

    def _announce(self, before: Rollout, after: Rollout) -> None:
        for entry in after.log[len(before.log) :] if len(after.log) > len(before.log) else after.log[-1:]:
            log.info("rollout %s is %s: %s", after.id, entry.state, entry.reason)
            event = {
                "rollout": after.id,
                "state": entry.state.value,
                "step": entry.step,
                "ratio": after.ratio,
                "reason": entry.reason,
                "at": entry.at,
            }
            self._webhooks.tell(after.plan.webhooks, event)

    @property
    def _rollout_key(self) -> str:
        return f"{self.service}/rollout"

    def _lead(self) -> dict[str, str]:
        return {self.lease.key: self.lease.etag or "0"}

    def _require_lead(self) -> None:
        if self.lease.etag is None and not self.lease.hold():
            raise CommandRefused(f"another pilot leads: {self.lease.holder() or 'ask again'}")

    def _note(self, trouble: str) -> None:
        if self.view.trouble is None:
            log.warning("%s", trouble)
        self.view.trouble = trouble

    def _tell(self) -> None:
        changed, self.view.changed = self.view.changed, Event()
        changed.set()


def _place(rollout: Rollout) -> tuple[str, int, int]:
    return rollout.id, rollout.trial, rollout.step
