"""After a 101: two streams tied together, bytes either way, whatever they mean."""

from __future__ import annotations

import gevent

from app.clock import NEVER
from app.proxy.gateway import Gateway
from app.stream import Stream


class Tunnel:
    """Of `gateway` it needs the clock, and how long both sides may be silent. `deadline`: see Clock."""

    __slots__ = ("_client", "_gateway", "_server", "deadline")

    def __init__(self, client: Stream, server: Stream, gateway: Gateway) -> None:
        self._client = client
        self._server = server
        self._gateway = gateway
        self._touch()

    def run(self, to_client: bytes, to_server: bytes) -> None:
        """Pass on what came early, then all that comes, until both sides have ended theirs or one is lost.

        A side that ends its own direction may go on listening (half-close).
        """
        self._gateway.clock.watch(self)
        back = gevent.spawn(self._relay, self._server, self._client, to_client)
        try:
            self._relay(self._client, self._server, to_server)
            back.join()
        finally:
            back.kill()
            self._gateway.clock.forget(self)

    def _relay(self, source: Stream, sink: Stream, early: bytes) -> None:
        try:
            data = early or source.read()
            while data:
                self._touch()
                sink.write(data)
                data = source.read()
            sink.stop_writing()
        except OSError:
            self.cut()

    def _touch(self) -> None:
        """The time of silence begins. A tunnel may outlive many configs: the limit is of the one now in force."""
        idle = self._gateway.snapshot.config.timeouts.tunnel_idle
        self.deadline = NEVER if idle is None else self._gateway.clock.now + idle

    def cut(self) -> None:
        """End both directions now."""
        self._client.shut()
        self._server.shut()

    def expire(self) -> None:
        """See Limited."""
        self.cut()
