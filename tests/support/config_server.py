"""A small config server with knobs to misbehave: what kv promises, and what a bad day brings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

DOCUMENT: dict[str, Any] = {
    "update_rate": 0.05,
    "stable": {"servers": [{"url": "http://127.0.0.1:9001"}]},
}


def document(**changes: Any) -> bytes:
    return json.dumps(DOCUMENT | changes).encode()


HEARTBEAT = 0.05


class FakeConfigServer:
    """Holds one document, and knows no schemas; or with `of` "schema" one schema, and no documents.

    What instances report is taken, and not kept. `mood` names an entry of MOODS; `cut_watch` refuses every stream.
    """

    def __init__(self, raw: bytes | None = None) -> None:
        self.raw = raw
        self.revision = 1 if raw else 0
        self.of = "kv"
        self.mood = "well"
        self.cut_watch = False
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.last_headers: dict[str, Any] = {}
        self.before_write: Callable[[], None] = lambda: None
        self._changed = Event()
        self._server: WSGIServer | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def etag(self) -> str:
        return "0" if self.raw is None else f"{self.revision}-{hashlib.sha256(self.raw).hexdigest()[:12]}"

    def start(self) -> FakeConfigServer:
        self._server = WSGIServer(
            ("127.0.0.1", self._port), self._serve, log=None, error_log=None, spawn=Pool()
        )
        self._server.start()
        self._port = self._server.server_port
        return self

    def stop(self) -> None:
        """As `kill -9`: whoever waits for an answer sees the connection end. `start` takes the same port."""
        if self._server:
            self._server.stop(timeout=0)

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def put(self, raw: bytes | None) -> None:
        """Store a document, or with None delete it."""
        self.raw, self.revision = raw, self.revision + 1
        self._changed.set()
        self._changed = Event()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(f"/v1/{self.of}/"):
            return self._stranger(start_response)
        if "/instances/" in environ["PATH_INFO"]:
            return self._answer(start_response, "200 OK", b"{}")
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        watches = environ.get("HTTP_ACCEPT") == "text/event-stream"
        query |= {"watch": environ.get("HTTP_LAST_EVENT_ID", "")} if watches else {}
        self.requests.append((environ["REQUEST_METHOD"], query))
        self.last_headers = environ
        if self.mood != "well":
            return MOODS[self.mood](self, start_response)
        if watches and self.cut_watch:
            return self._answer(start_response, "503 Service Unavailable", b"")
        if watches:
            start_response("200 OK", [("Content-Type", "text/event-stream")])
            return self._events(query["watch"])
        return {"GET": self._get, "PUT": self._put}[environ["REQUEST_METHOD"]](environ, start_response, query)

    def _get(self, environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Iterable[bytes]:
        known = environ.get("HTTP_IF_NONE_MATCH")
        if known == f'"{self.etag}"' and self.raw is not None:
            return self._answer(start_response, "304 Not Modified", b"")
        status = "404 Not Found" if self.raw is None else "200 OK"
        return self._answer(start_response, status, self.raw or b"{}")

    def _events(self, known: str) -> Iterator[bytes]:
        """Ends when this server misbehaves from now on, or watches are to be refused."""
        yield b"retry: 1000\n\n"
        while self.mood == "well" and not self.cut_watch:
            changed = self._changed
            if known == self.etag and not changed.wait(HEARTBEAT):
                yield b": 1\n\n"
            elif known != self.etag:
                known = self.etag
                kind, data = ("put", self.raw) if self.raw else ("delete", b"null")
                yield f"id: {known}\nevent: {kind}\ndata: {data.decode()}\n\n".encode()

    def _put(self, environ: dict[str, Any], start_response: Any, query: dict[str, str]) -> Iterable[bytes]:
        self.before_write()
        known = environ.get("HTTP_IF_MATCH")
        create = environ.get("HTTP_IF_NONE_MATCH") == "*"
        if (create and self.raw is not None) or (known and known != f'"{self.etag}"'):
            return self._answer(start_response, "412 Precondition Failed", b'{"detail": "another"}')
        self.put(environ["wsgi.input"].read())
        return self._answer(start_response, "201 Created", b"{}")

    def _answer(self, start_response: Any, status: str, body: bytes) -> list[bytes]:
        start_response(status, [("ETag", f'"{self.etag}"'), ("X-Revision", str(self.revision))])
        return [body]

    def _redirect(self, start_response: Any) -> list[bytes]:
        start_response("302 Found", [("Location", "/v1/kv/another"), ("ETag", '"7-another"')])
        return [b""]

    def _stranger(self, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b"no such page"]

    def _garbage(self, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("ETag", '"7-garbage"'), ("X-Revision", "7")])
        return [b"\xff\xfe not JSON"]

    def _hang(self, start_response: Any) -> list[bytes]:
        Event().wait(30)
        return self._answer(start_response, "503 Service Unavailable", b"")

    def _trickle(self, start_response: Any) -> Iterable[bytes]:
        self._answer(start_response, "200 OK", b"")
        for _ in range(3000):
            yield b" "
            gevent.sleep(0.01)

    def _oversized(self, start_response: Any) -> Iterable[bytes]:
        self._answer(start_response, "200 OK", b"")
        for _ in range(1000):
            yield b" " * 10_240
            gevent.sleep(0)


MOODS: dict[str, Callable[[FakeConfigServer, Any], Iterable[bytes]]] = {
    "fail": lambda server, respond: server._answer(
        respond, "500 Internal Server Error", b'{"detail": "broken"}'
    ),
    "redirect": FakeConfigServer._redirect,
    "stranger": FakeConfigServer._stranger,
    "garbage": FakeConfigServer._garbage,
    "hang": FakeConfigServer._hang,
    "trickle": FakeConfigServer._trickle,
    "oversized": FakeConfigServer._oversized,
}
