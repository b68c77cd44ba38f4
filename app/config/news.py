"""What a config server tells of one document while it is open: server-sent events, of which the newest counts."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator

from requests import Response
from urllib3.exceptions import ReadTimeoutError

from app.config.document import LARGEST_ANSWER, Document
from app.config.event_stream import Event, EventStream
from app.errors import ConfigMissing, ConfigServerError

EVENT_STREAM = "text/event-stream"
SILENCE = 25.0  # seconds: the config server gives a sign of life every 10


class News:
    """An open stream of one document's changes: `etag` is that of what it told last."""

    def __init__(self, response: Response, url: str, etag: str | None, silence: float) -> None:
        """`silence`: the socket's time limit, in seconds."""
        self._silence = silence
        self.url = url
        self.etag = etag
        self._response = response
        self._chunks: Iterator[bytes] = response.raw.stream(2**16)
        self._stream = EventStream()
        self._pending: deque[Event] = deque()

    def next(self, until: float) -> Document | None:
        """The document as it is now; None if nothing is new by `until`, in monotonic time.

        Raises ConfigMissing, ConfigServerError, and what the connection does.
        """
        while not self._pending:
            try:
                chunk = next(self._chunks, b"")
            except ReadTimeoutError:
                raise ConfigServerError(f"gave no sign of life for {self._silence:g} s") from None
            if not chunk:
                raise ConfigServerError("has ended the stream of changes")
            self._take(chunk)
            if not self._pending and time.monotonic() >= until:
                return None
        # Only the newest counts: each event is the whole of what there is.
        event = self._pending[-1]
        self._pending.clear()
        self.etag = event.identity
        if event.kind == "delete":
            raise ConfigMissing(f"{self.url} has no document under this key")
        return Document(event.data, event.identity, _revision(event.identity), self.url)

    def _take(self, chunk: bytes) -> None:
        try:
            self._pending.extend(self._stream.feed(chunk))
        except UnicodeDecodeError as fault:
            raise ConfigServerError("sends events that cannot be read") from fault
        if self._stream.held > LARGEST_ANSWER:
            raise ConfigServerError(f"sends more than {LARGEST_ANSWER:,} bytes")

    def close(self) -> None:
        self._response.close()


def _revision(etag: str) -> int:
    """ETags are `<revision>-<hash>`."""
    revision = re.fullmatch(r"([0-9]{1,18})-[0-9a-f]{12}", etag)
    if revision is None:
        raise ConfigServerError("sends events without an ETag for an id: no config server?")
    return int(revision[1])
