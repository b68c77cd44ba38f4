"""A client of server-sent events, as the HTML Standard (9.2.5, 9.2.6) has it; nothing of ours in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.raw import Address


class Event(NamedTuple):
    """`identity`: the last event id after it, which an event without one leaves as it was."""

    kind: str
    data: str
    identity: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class EventSource:
    """One stream from `path`; it does not reconnect. `comments` and `retry` are what came of these so far."""

    def __init__(
        self,
        address: Address,
        path: str,
        last_event_id: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._connection = HTTPConnection(*address, timeout=timeout)
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._connection.request("GET", path, headers=headers)
            self.response: HTTPResponse = self._connection.getresponse()
        except BaseException:  # whoever is killed here leaves nothing open either
            self._connection.close()
            raise
        self.last_event_id = last_event_id or ""
        self.comments: list[str] = []
        self.retry: int | None = None
        self._events = self._parsed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def next(self) -> Event:
        """The next event. Raises AssertionError when the stream ends, TimeoutError when nothing comes."""
        for event in self._events:
            return event
        raise AssertionError("the stream has ended")

    def take(self, count: int) -> list[Event]:
        return [self.next() for _ in range(count)]

    def ends(self) -> bool:
        """Whether nothing but the proper end comes. Raises ConnectionResetError when it is cut off."""
        return not list(self._events)

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def _parsed(self) -> Iterator[Event]:
        kind, data = "", []
        for line in self._lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield Event(kind or "message", "\n".join(data), self.last_event_id)
                kind, data = "", []
            elif not name:
                self.comments.append(value)
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                self.last_event_id = value
            elif name == "retry" and value.isdecimal():
                self.retry = int(value)

    def _lines(self) -> Iterator[str]:
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                assert b"\r" not in line, "a line end that ours has no need of"
                yield line.decode()
        assert not rest, "ended within a line"

    def _chunks(self) -> Iterator[bytes]:
        """http.client would take a cut for the end."""
        assert (self.response.status, self.response.chunked) == (200, True)
        file = self.response.fp
        while size := int(file.readline() or b"-1", 16):
            chunk = file.read(size + 2)
            if not chunk.endswith(b"\r\n"):
                raise ConnectionResetError("cut off")
            yield chunk[:-2]
