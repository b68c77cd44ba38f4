"""The one that drives: once a second it looks at all instances, judges, and does what the controller decides.

Every write is made on condition that this pilot leads and that nobody has written the rollout or the config document
meanwhile. A write that comes too late is given up: the next look starts from what is there then.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

import gevent
from gevent import Greenlet
from gevent.event import Event
from gevent.lock import RLock

from app.config.editor import Editor
from app.config.keys import KeyClient, Stored, Write
from app.errors import CommandRefused, ConfigConflict, ConfigServerError, InvalidState, NumbersAway
from app.pilot.confirmation import Confirmation
from app.pilot.evidence import Evidence
from app.pilot.history import History
from app.pilot.instances import instances
from app.pilot.lease import Lease
from app.pilot.numbers import Numbers, Reports
from app.pilot.records import Records
from app.pilot.trail import Trail
from app.pilot.view import View
from app.pilot.webhook_events import transitions
from app.pilot.webhooks import Webhooks
from app.rollout import journal
from app.rollout.controller import advance
from app.rollout.document import Document
from app.rollout.effects import Action, Ask
from app.rollout.effects import Write as Steer
from app.rollout.plan import Plan
from app.rollout.situation import Command, Situation
from app.rollout.state import ENDS, Rollout

log = logging.getLogger(__name__)

PERIOD = 1.0
# Seconds between two times that time gone by and evidence are written down, if nothing else happens.
_KEEP_EVERY = 5.0
_AUTHOR = "pilot"


class Pilot:
    """Of one service. `start` and `stop` rule its greenlet; `command` and `begin` act at once."""

    def __init__(
        self,
        keys: KeyClient,
        config_key: str,
        webhooks: Webhooks,
        *,
        numbers: Numbers | None = None,
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
        self._records = Records(keys, self.editor, self.service)
        self._evidence = Evidence(keys, self.service)
        self._numbers = numbers or Reports()
        self._webhooks = webhooks
        self._confirmation = Confirmation(webhooks)
        self._period = period
        self._clock = clock
        self._lock = RLock()
        self._looked = clock()
        self._kept = 0.0
        self._stopped = Event()
        self._greenlet: Greenlet[[], None] | None = None

    def start(self) -> None:
        """Look now, and every `period` seconds."""
        self._numbers.start()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Look no more, and let another pilot lead."""
        self._stopped.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=5)
            self._greenlet.kill(block=False)
        self.lease.release()
        self._numbers.stop()
        self._confirmation.stop()
        self._webhooks.stop()

    def look(self) -> None:
        """One look at everything, and what follows from it. What goes wrong is told in the view."""
        with self._lock:
            try:
                self._look()
                self._note_answer()
                self.trail.take(self.view.at, self.view.rollout, self.view.verdict)
            except ConfigConflict:
                log.info("somebody has written meanwhile: looking again")
            except ConfigServerError as fault:
                self._note_away()
                self._note(f"the config server does not answer: {fault}")
            except InvalidState as fault:
                self._note(str(fault))
            self._tell()

    def command(self, command: Command, who: str) -> Rollout:
        """Carry out what a person asks for. Raises CommandRefused, ConfigConflict and ConfigServerError."""
        with self._lock:
            self._require_lead()
            stored, rollout = self._records.rollout()
            if rollout is None or stored is None:
                raise CommandRefused(f"cannot {command}: there is no rollout")
            after = self._decide(stored, rollout, command, who)
            self._tell()
            return after

    def begin(self, plan: Plan, who: str) -> Rollout:
        """Start a rollout. Raises CommandRefused while another is under way."""
        with self._lock:
            self._require_lead()
            stored, former = self._records.rollout()
            if former is not None and former.state not in ENDS:
                raise CommandRefused(f"a rollout is {former.state} already: abort it first")
            now = self._clock()
            identity = f"{time.strftime('%Y-%m-%d', time.gmtime(now))}-{secrets.token_hex(2)}"
            rollout = Rollout(identity, plan, clock=now)
            self._save(rollout, stored.etag if stored else "0", f"started by {who}")
            self._evidence.forget()
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
        stored, rollout = self._records.rollout()
        view.rollout = rollout
        view.config, view.document = self._records.config()
        view.at = now
        seconds, self._looked = now - self._looked, now
        if rollout is None or stored is None or rollout.state in ENDS:
            return
        self._judge(rollout, min(seconds, 5.0))
        if view.leads:
            self._decide(stored, rollout)

    def _judge(self, rollout: Rollout, seconds: float) -> None:
        view, judge = self.view, self._evidence.judge_of(rollout)
        try:
            observed, view.blind = self._numbers.read(view.instances, (rollout.id, rollout.trial))
            judge.look(observed, seconds, counting=rollout.counting)
        except NumbersAway as fault:
            view.blind = str(fault)
        verdict = judge.verdict()
        view.verdict = verdict if view.blind is None else verdict.held(view.blind)

    def _decide(
        self, stored: Stored, rollout: Rollout, command: Command | None = None, who: str = ""
    ) -> Rollout:
        config, document = self._records.config()
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
            conditions = self._lead() | {self._records.rollout_key: etag, config.key: config.etag}
            how = Write(author=_AUTHOR, note=f"rollout {rollout.id}: {rollout.reason}")
            self.keys.transact(conditions, config.key, action.document, how)
        elif isinstance(action, Ask):
            self._confirmation.ask(rollout)

    def _save(self, rollout: Rollout, etag: str, note: str) -> str:
        """The evidence first: the rollout may count on it."""
        self._kept = self._clock()
        self._evidence.keep(rollout)
        conditions = self._lead() | {self._records.rollout_key: etag}
        how = Write(author=_AUTHOR, note=note)
        return self.keys.transact(conditions, self._records.rollout_key, journal.dump(rollout), how).etag

    def _situation(
        self, rollout: Rollout, document: Document | None, command: Command | None, who: str
    ) -> Situation:
        view, judge = self.view, self._evidence.judge_if_of(rollout)
        situation = Situation(
            document,
            confirmed=self._confirmation.given(rollout),
            command=command,
            who=who,
            blind=view.blind,
            # If another pilot has been at work since, it was not away.
            away=view.away if view.away is not None and rollout.clock <= view.away else None,
        )
        if view.verdict is None or judge is None:
            return situation
        return replace(
            situation,
            outcome=view.verdict.outcome,
            why=view.verdict.reason,
            requests=judge.canary_requests,
            alarm=view.verdict.share.alarm,
        )

    def _announce(self, before: Rollout, after: Rollout) -> None:
        for event in transitions(before, after):
            log.info("rollout %s is %s: %s", after.id, event["state"], event["reason"])
            self._webhooks.tell(after.plan.webhooks, event)

    def _lead(self) -> dict[str, str]:
        return {self.lease.key: self.lease.etag or "0"}

    def _require_lead(self) -> None:
        if self.lease.etag is None and not self.lease.hold():
            raise CommandRefused(f"another pilot leads: {self.lease.holder() or 'ask again'}")

    def _note(self, trouble: str) -> None:
        if self.view.trouble is None:
            log.warning("%s", trouble)
        self.view.trouble = trouble

    def _note_away(self) -> None:
        if self.view.away is None:
            self.view.away = self._clock()

    def _note_answer(self) -> None:
        """As long as nobody leads, nobody has told of it."""
        self.view.trouble = None
        if self.view.leader is not None:
            self.view.away = None

    def _tell(self) -> None:
        changed, self.view.changed = self.view.changed, Event()
        changed.set()
