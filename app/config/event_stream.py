"""Server-sent events taken out of their bytes (HTML Standard, 9.2.5 and 9.2.6). No I/O."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """`identity`: the last event id, which an event without one leaves as it was."""

    kind: str
    data: bytes
    identity: str


class EventStream:
    """`feed` takes bytes as they come and gives the events that are whole by then; comments come to nothing.

    `held` counts the bytes of what is not whole yet, for whoever has a limit.
    """

    __slots__ = ("_data", "_identity", "_kind", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[bytes] = []
        self._identity = ""

    @property
    def held(self) -> int:
        return len(self._rest) + sum(map(len, self._data))

    def feed(self, data: bytes) -> list[Event]:
        """Raises UnicodeDecodeError for an event's name or id that is no UTF-8."""
        data = self._rest + data
        # A CR at the end may be the first half of a line's end.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1
        events = []
        for line in data[:end].splitlines():
            if line:
                self._field(*line.partition(b":")[::2])
            elif self._data:
                events.append(Event(self._kind or "message", b"\n".join(self._data), self._identity))
                self._kind, self._data = "", []
        self._rest = data[end:]
        return events

    def _field(self, name: bytes, value: bytes) -> None:
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode()
        elif name == b"id" and b"\0" not in value:
            self._identity = value.decode()
