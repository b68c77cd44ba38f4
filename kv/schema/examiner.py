"""Long examinations, in a native thread so that everybody else is served meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gevent.threadpool import ThreadPool

from kv.errors import KvError, Unavailable
from kv.schema import fitness
from kv.schema.compiled import Compiled
from kv.schema.keywords import Exhausted
from kv.schema.rules import Unexamined
from kv.schema.wording import Fault

STEPS = 300_000
_ROUNDS = 50  # a transaction may need one for each of its operations
_TOO_MUCH = (Fault("", "takes more work to examine than is allowed; a simpler schema would help"),)
_T = TypeVar("_T")


class Examiner:
    """One examination at a time, each of at most `steps`: a few seconds."""

    def __init__(self, steps: int = STEPS) -> None:
        self._steps = steps
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        self._pool = ThreadPool(1)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.kill()
            self._pool = None

    def check_schema(self, raw: bytes) -> None:
        """As fitness.check."""
        error = self._in_thread(_refusal, raw)
        if error is not None:
            raise error

    def examined(self, commit: Callable[[], _T]) -> _T:
        """What `commit` gives; whatever document it finds Unexamined is examined, and the commit tried again.

        Raises Unavailable when document or schema are another each time.
        """
        for _ in range(_ROUNDS):
            try:
                return commit()
            except Unexamined as need:
                self._examine(need.schema, need.value)
        raise Unavailable(
            "the document or its schema changes faster than it can be examined; nothing was written"
        )

    def _examine(self, schema: Compiled, value: bytes) -> None:
        schema.remember(value, self._in_thread(_faults, schema, value, self._steps))

    def _in_thread(self, call: Callable[..., _T], *arguments: object) -> _T:
        if self._pool is None:
            raise Unavailable("the store is not open")
        return self._pool.apply(call, arguments)


def _faults(schema: Compiled, value: bytes, steps: int) -> tuple[Fault, ...]:
    try:
        return schema.judge(value, steps)
    except Exhausted:
        return _TOO_MUCH


def _refusal(raw: bytes) -> KvError | None:
    """As a value: gevent prints the trace of what is raised in a pool's thread."""
    try:
        fitness.check(raw)
    except KvError as error:
        return error
    return None
