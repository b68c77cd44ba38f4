"""Proof that the replica is as new as etcd was when one asked: what makes reads from memory linearizable.

Whoever asks while a question is under way shares the next one, so that any number of readers costs one exchange at a
time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from gevent import Greenlet
from gevent.event import Event as Flag
from gevent.queue import Queue

from kv.engine.etcd.gateway import TXN, Gateway
from kv.engine.etcd.layout import Layout
from kv.engine.etcd.messages import Newest, ask, look_for_newest, newest, ranges, revision, transaction
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.replica import Replica
from kv.errors import KvError, Unavailable

log = logging.getLogger(__name__)

TOPICS = 64
"""How many one question may be about: etcd takes 128 operations in a transaction."""

_REPLACED, _LAGS = (
    "etcd has less than it had, as if an older copy was restored",
    "the watch of etcd lags behind",
)


class Behind(Exception):
    """The watch does not bring what is known to be there."""


@dataclass(frozen=True, slots=True)
class State:
    """What etcd had of a topic, kept and passing, at `revision`."""

    revision: int
    kept: Newest
    passing: Newest


@dataclass(slots=True)
class _Question:
    """`topics` in their order; the `answer` is the same for all who share it."""

    topics: dict[str, None] = field(default_factory=dict)
    answer: dict[str, State] | KvError = field(default_factory=dict)
    answered: Flag = field(default_factory=Flag)


class Prover:
    """A topic is a key or a prefix, as in the hub. `renew` reads everything anew, or raises Unavailable."""

    def __init__(
        self, gateway: Gateway, layout: Layout, replica: Replica, pace: Pace, renew: Callable[[], None]
    ) -> None:
        self._gateway = gateway
        self._layout = layout
        self._replica = replica
        self._renew = renew
        self._lag = pace.lag
        self._next: _Question | None = None
        self._questions: Queue[_Question | None] = Queue()
        self._asker: Greenlet[[], None] | None = None

    def start(self) -> None:
        self._asker = Greenlet.spawn(self._run)

    def stop(self) -> None:
        """Whoever asks from now on hears that it is over."""
        if self._asker is not None:
            self._questions.put(None)
            self._asker.join()
            self._asker = None

    def prove(self, *topics: str) -> int:
        """Return when the replica knows of these topics at least what etcd knew at the call: at which revision.

        Without topics: when etcd has answered. Raises Unavailable.
        """
        try:
            return self._prove(topics)
        except Behind as error:
            log.warning("%s; reading everything anew", error)
            self._renew()
            try:
                return self._prove(topics)
            except Behind:
                raise Unavailable("this server does not keep up with etcd") from None

    def moment(self) -> int:
        """A revision that etcd still has, and at which everything was as the replica has it. Raises Unavailable."""
        return max(self.prove(""), self._replica.revision)

    def _prove(self, topics: Sequence[str]) -> int:
        known = self._replica.revision
        answer: dict[str, State] = {}
        for start in range(0, max(len(topics), 1), TOPICS):
            answer |= self._ask(topics[start : start + TOPICS])
        for topic, state in answer.items():
            if state.revision < known:
                raise Behind(_REPLACED)
            self._catch_up(topic, state)
        return max((state.revision for state in answer.values()), default=0)

    def _catch_up(self, topic: str, state: State) -> None:
        until = time.monotonic() + self._lag
        while self._replica.revision < state.revision and self.known(topic) != (state.kept, state.passing):
            # Not etcd's revision, which somebody else's keys may have made and no watch of ours will bring.
            following = max(state.kept.revision, state.passing.revision, self._replica.revision + 1)
            if not self._replica.reach(following, until - time.monotonic()):
                raise Behind(_LAGS)

    def audit(self) -> None:
        """Compare the whole replica with etcd. Raises Behind, Unavailable."""
        known = self._replica.revision
        state = self.states([""])[""]
        if state.revision < known:
            raise Behind(_REPLACED)
        until = time.monotonic() + self._lag
        while self.known("") != (state.kept, state.passing):
            if self._replica.revision > state.revision:
                return  # it has gone on in the meantime, and the next audit will tell
            if not self._replica.reach(self._replica.revision + 1, until - time.monotonic()):
                raise Behind(_LAGS)

    def known(self, topic: str) -> tuple[Newest, Newest]:
        """What the replica has of a topic, kept and passing."""
        kept, passing = self._layout.spans(topic)
        return self._replica.newest(kept), self._replica.newest(passing)

    def _ask(self, topics: Collection[str]) -> dict[str, State]:
        if self._asker is None:
            raise Unavailable("the store is closed")
        question = self._join(topics)
        question.answered.wait()
        if isinstance(question.answer, KvError):
            raise Unavailable(question.answer.detail) from question.answer
        return {topic: question.answer[topic] for topic in topics}

    def _join(self, topics: Collection[str]) -> _Question:
        """The question that is put next, and these topics in it."""
        question = self._next
        if question is None or len(question.topics.keys() | set(topics)) > TOPICS:
            self._next = question = _Question()
            self._questions.put(question)
        question.topics.update(dict.fromkeys(topics))
        return question

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            if question is self._next:
                self._next = None
            try:
                question.answer = self.states(question.topics)
            except KvError as error:
                question.answer = error
            except Exception:
                log.exception("etcd could not be asked")
                question.answer = Unavailable("etcd could not be asked")
            question.answered.set()

    def states(self, topics: Collection[str]) -> dict[str, State]:
        """What etcd has of these topics, at most TOPICS. Raises Unavailable."""
        spans = [span for topic in topics for span in self._layout.spans(topic)]
        answer = self._gateway.read(TXN, transaction((), [ask(look_for_newest(span)) for span in spans]))
        found, at = [newest(each) for each in ranges(answer)], revision(answer)
        return {
            topic: State(at, *pair)
            for topic, pair in zip(topics, zip(found[::2], found[1::2], strict=True), strict=True)
        }
