"""What a crowd of clients did to a few keys over HTTP, as calls of registers, and whether all of it can be true.

A register's state is the half of the ETag that is a hash: every value is written once, so it says which one is there.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

import gevent

from kv.model import NO_ETAG, etag_of
from tests.support.linearizability import NEVER, Call, explains, linearization
from tests.support.raw import Address

READ, PUT, SWAP = "read", "put", "swap"
Operation = tuple[str, ...]
Version = tuple[int, str]
"""A revision, and the state from then on."""


def register(state: str, operation: Operation) -> tuple[str, Any]:
    """`(READ,)`, `(PUT, new)`, which tells whether nothing was there, or `(SWAP, expected, new)`.

    A swap that fails tells what is there instead; one to NO_ETAG is a deletion.
    """
    name, *values = operation
    if name == READ:
        return state, state
    if name == PUT:
        return values[0], state == NO_ETAG
    return (values[1], True) if state == values[0] else (state, state)


def state_of(etag: str) -> str:
    return etag.rpartition("-")[2]


def check(calls: Sequence[Call], versions: Sequence[Version]) -> None:
    """Raises AssertionError unless the calls to one key are linearizable, and in the order of their revisions.

    `versions`: all that the key ever had, oldest first.
    """
    assert linearization(calls, NO_ETAG, register) is not None, told(calls)
    order = by_revision(calls, versions)
    assert explains(order, NO_ETAG, register), f"by revision:\n{told(order)}"


def by_revision(calls: Sequence[Call], versions: Sequence[Version]) -> list[Call]:
    """The calls whose place is known, in the order that the revisions allow no other than.

    A version that nobody has an answer about was made by a call that never got one.
    """
    answered = {call.place for call in calls if call.place is not None and _writes(call)}
    lost = [call for call in calls if call.returned == NEVER]
    found, before = [], NO_ETAG
    for revision, state in versions:
        if revision not in answered:
            author = next((call for call in lost if register(before, call.operation)[0] == state), None)
            assert author is not None, f"nobody wrote revision {revision}, {state}"
            lost.remove(author)
            found.append(replace(author, place=revision))
        before = state
    placed = [call for call in calls if call.place is not None]
    return sorted([*placed, *found], key=lambda call: (call.place, not _writes(call), call.called))


def _writes(call: Call) -> bool:
    return call.operation[0] == PUT or (call.operation[0] == SWAP and call.answer in (True, None))


def told(calls: Sequence[Call]) -> str:
    """One call a line, in the order of their beginnings."""
    begun = min((call.called for call in calls), default=0.0)
    return "\n".join(
        f"{call.called - begun:9.5f} {call.returned - begun:9.5f} {call.place} {call.operation} {call.answer}"
        for call in sorted(calls, key=lambda call: call.called)
    )


class Crowd:
    """`clients` who make so many `calls` each to `keys` of their own at random, and take down what came of them.

    `address(number)`: where client number so and so finds a server just now. `patience`: seconds for an answer.
    """

    def __init__(
        self,
        address: Callable[[int], Address],
        keys: Sequence[str],
        *,
        clients: int = 8,
        calls: int = 60,
        seed: int = 1,
        patience: float = 5.0,
    ) -> None:
        self.calls: dict[str, list[Call]] = {key: [] for key in keys}
        self.patience = patience
        self.address = address
        self._members = [_Client(self, number, seed) for number in range(clients)]
        self._each = calls
        self.goal = clients * calls

    @property
    def made(self) -> int:
        """How many calls have come to an end."""
        return sum(map(len, self.calls.values()))

    @contextmanager
    def at_work(self, deadline: float = 60.0) -> Iterator[None]:
        """They begin; when the block has ended, wait until they have."""
        tasks = [gevent.spawn(member.work, self._each) for member in self._members]
        try:
            yield
            gevent.joinall(tasks, timeout=deadline, raise_error=True)
            assert all(task.ready() for task in tasks), f"{self.made} of {self.goal} calls in {deadline} s"
        finally:
            gevent.killall(tasks)

    def check(self) -> None:
        """Raises AssertionError unless all of it can be true. They must have ended, and a server must be there."""
        with closing(_Client(self, 0, 0)) as reader:
            for key, calls in self.calls.items():
                reader.ask(key, LOOK)
                check(calls, reader.versions(key))


class _Request(NamedTuple):
    operation: Operation
    method: str
    headers: dict[str, str]
    body: bytes | None = None


class _Client:
    """One of the crowd. It knows what it was told last of each key, and makes its conditions of that."""

    def __init__(self, crowd: Crowd, number: int, seed: int) -> None:
        self._crowd, self._number = crowd, number
        self._chance = random.Random(f"{seed} {number}")
        self._known: defaultdict[str, str] = defaultdict(lambda: NO_ETAG)
        self._connection: HTTPConnection | None = None
        self._written = 0

    def work(self, calls: int) -> None:
        try:
            for _ in range(calls):
                key = self._chance.choice(list(self._crowd.calls))
                request = self._request(key)
                while not self.ask(key, request):
                    gevent.sleep(0.005)
        finally:
            self.close()

    def _request(self, key: str) -> _Request:
        kind = self._chance.choices(("read", "put", "swap", "delete"), (4, 2, 3, 1))[0]
        known = self._known[key]
        condition = {"If-None-Match": "*"} if known == NO_ETAG else {"If-Match": f'"{known}"'}
        if kind == "read":
            return LOOK
        if kind == "delete":
            return _Request((SWAP, state_of(known), NO_ETAG), "DELETE", {"If-Match": f'"{known}"'})
        self._written += 1
        value = f'"{self._number}: {self._written}"'.encode()
        new = state_of(etag_of(0, value))
        if kind == "put":
            return _Request((PUT, new), "PUT", {}, value)
        return _Request((SWAP, state_of(known), new), "PUT", condition, value)

    def ask(self, key: str, request: _Request) -> bool:
        """Whether there was anyone to ask. What came of it is with the crowd then."""
        try:
            connection = self._connected()
        except OSError:
            return False
        called, status = time.monotonic(), 504
        try:
            connection.request(request.method, f"/v1/kv/{key}", request.body, request.headers)
            response = connection.getresponse()
            status, etag, body = (
                response.status,
                response.getheader("ETag", NO_ETAG).strip('"'),
                response.read(),
            )
        except (OSError, HTTPException):
            self.close()
        if status == 503:
            return False
        if status != 504:
            call = self._understood(request, status, etag, body, called)
            self._known[key] = etag
            self._crowd.calls[key].append(call)
        elif request is not LOOK:
            self._crowd.calls[key].append(Call(request.operation, None, called, NEVER))
        return True

    @staticmethod
    def _understood(request: _Request, status: int, etag: str, body: bytes, called: float) -> Call:
        returned = time.monotonic()
        assert status in (200, 201, 404, 412), (status, body)
        if request is LOOK or status == 404:  # to delete what was not there is to see that it is not there
            return Call((READ,), state_of(etag), called, returned, _revision(etag))
        if status == 412:
            return Call(request.operation, state_of(etag), called, returned, _revision(etag))
        answer = status == 201 if request.operation[0] == PUT else True
        return Call(request.operation, answer, called, returned, json.loads(body)["revision"])

    def versions(self, key: str) -> list[Version]:
        """All there ever were. Raises AssertionError if some are no longer kept."""
        connection = self._connected()
        connection.request("GET", f"/v1/kv/{key}?history=100")
        told = json.loads(connection.getresponse().read())["versions"]
        assert told[-1]["version"] == 1, "more versions than are kept"
        return [(each["revision"], state_of(each["etag"])) for each in reversed(told)]

    def _connected(self) -> HTTPConnection:
        if self._connection is None:
            connection = HTTPConnection(*self._crowd.address(self._number), timeout=self._crowd.patience)
            connection.connect()
            self._connection = connection
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


LOOK = _Request((READ,), "GET", {})


def _revision(etag: str) -> int | None:
    return int(etag.partition("-")[0]) or None
