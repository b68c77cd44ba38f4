"""A client of HTTP/2 that can do what curl does not: send anything, and many streams as they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events
from gevent import socket

from tests.support.raw import Address
from tests.support.tls import client_context

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What came on one stream. `reset`: the error code that it was cut off with (RFC 9113, 7)."""

    interim: list[dict[str, str]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def status(self) -> int:
        return int(self.fields[":status"])


class Http2Client:
    """One connection. `answers` has what came so far, by stream."""

    def __init__(self, address: Address) -> None:
        context = client_context()
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(address, timeout=10)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        # The client's own checks are off: what it sends is for the test to say.
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.http = h2.connection.H2Connection(config)
        self.http.initiate_connection()
        self.answers: dict[int, Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def ask(
        self, fields: Fields | None = None, *, method: str = "GET", path: str = "/", body: bytes | None = None
    ) -> int:
        """Send a request as far as it goes, and return its stream. `body` None: it ends with its head."""
        stream = self.http.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost")]
        self.http.send_headers(stream, head + (fields or []), end_stream=body is None)
        self.answers[stream] = Answer()
        if body is not None:
            self.http.send_data(stream, body)
        return self.flush() or stream

    def end(self, stream: int, trailers: Fields | None = None) -> int:
        """End a request that has a body."""
        if trailers:
            self.http.send_headers(stream, trailers, end_stream=True)
        else:
            self.http.end_stream(stream)
        return self.flush() or stream

    def upload(self, size: int) -> int:
        """POST a body of so many bytes, or less if the answer ends before, and return the stream."""
        stream = self.ask(method="POST", body=b"")
        while size > 0 and not self.answers[stream].ended:
            if room := min(self.http.local_flow_control_window(stream), 16384, size):
                self.http.send_data(stream, b"x" * room)
                self.flush()
                size -= room
            else:
                self.receive()
        return stream if self.answers[stream].ended else self.end(stream)

    def flush(self) -> None:
        """Send what the calls on `http` have left to send."""
        self._socket.sendall(self.http.data_to_send())

    def wait(self, *streams: int) -> list[Answer]:
        """The answers on these streams, once they have ended or been cut off."""
        while not all(self.answers[stream].ended for stream in streams):
            self.receive()
        return [self.answers[stream] for stream in streams]

    def receive(self) -> None:
        """Take what comes next. Raises AssertionError when the connection ends instead."""
        data = self._socket.recv(65536)
        assert data, "the connection ended"
        for event in self.http.receive_data(data):
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            raise AssertionError(f"the connection ended with error {event.error_code}")
        answer = self.answers.get(getattr(event, "stream_id", None) or 0, Answer())
        match event:
            case h2.events.InformationalResponseReceived():
                answer.interim.append(dict(event.headers))
            case h2.events.ResponseReceived():
                answer.fields = dict(event.headers)
            case h2.events.DataReceived():
                answer.body += event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.ended, answer.reset = True, event.error_code
