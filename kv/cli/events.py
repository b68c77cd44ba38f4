"""Server-sent events, read as the HTML Standard has it (9.2.6), and a watch that outlives its connections."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from requests import RequestException, Response

from kv.cli.client import Client
from kv.cli.failure import Unreachable

SILENCE = 25.0
"""Seconds without a sign of life after which a stream is given up; the server gives one every 10."""
_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class Event(NamedTuple):
    """`identity`: the last event id, this event's or an earlier one's."""

    kind: str
    data: str
    identity: str | None


def events(lines: Iterable[bytes], identity: str | None = None) -> Iterator[Event]:
    """The events in the lines of a stream."""
    kind, data = "", list[str]()
    for line in lines:
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(kind or "message", "\n".join(data), identity)
            kind, data = "", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            identity = value


def follow(
    client: Client, path: str, notice: Callable[[str], None], pause: Callable[[float], None] = time.sleep
) -> Iterator[Event]:
    """What changes at `path`, over as many connections as it takes. `notice` is told when one is lost.

    Raises Refused, and Unreachable if not even the first connection succeeds.
    """
    stream: Response | None = _open(client, path, None)
    identity, failures = None, 0
    while True:
        try:
            with closing(stream or _open(client, path, identity)) as response:
                for event in events(response.iter_lines(), identity):
                    identity, failures = event.identity, 0
                    yield event
        except (RequestException, Unreachable) as error:
            failures += 1
            notice(f"connecting again: {error}")
        stream = None
        pause(random.uniform(0, min(_PAUSE * 2**failures, _LONGEST_PAUSE)))  # noqa: S311  it spreads load


def _open(client: Client, path: str, identity: str | None) -> Response:
    headers = {"Accept": "text/event-stream"}
    if identity is not None:
        headers["Last-Event-ID"] = identity
    return client.ask("GET", path, headers=headers, stream=True, patience=SILENCE)
