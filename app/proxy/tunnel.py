"""After a 101: two streams tied together, bytes either way, whatever they mean."""

from __future__ import annotations

import gevent

from app.clock import NEVER, Clock
from app.stream import Stream


class Tunnel:
    """`idle` is how many seconds both sides may be silent; None: for ever. `deadline`: see Clock."""

    __slots__ = ("_client", "_clock", "_idle", "_server", "deadline")

    def __init__(self, client: Stream, server: Stream, idle: float | None, clock: Clock) -> None:
        self._client = client
        self._server = server
        self._idle = NEVER if idle is None else idle
        self._clock = clock
        self.deadline = clock.now + self._idle

    def run(self, to_client: bytes, to_server: bytes) -> None:
        """Pass on what came early, then all that comes, until both sides have ended theirs or one is lost.

        A side that ends its own direction may go on listening (half-close).
        """
        self._clock.watch(self)
        back = gevent.spawn(self._relay, self._server, self._client, to_client)
        try:
            self._relay(self._client, self._server, to_server)
            back.join()
        finally:
            back.kill()
            self._clock.forget(self)

    def _relay(self, source: Stream, sink: Stream, early: bytes) -> None:
        try:
            data = early or source.read()
            while data:
                self.deadline = self._clock.now + self._idle
                sink.write(data)
                data = source.read()
            sink.stop_writing()
        except OSError:
            self.cut()

    def cut(self) -> None:
        """End both directions now."""
        self._client.shut()
        self._server.shut()

    def expire(self) -> None:
        """See Limited."""
        self.cut()
