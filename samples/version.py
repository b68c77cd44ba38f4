"""A version to put behind Serin: a small web app that says who it is, and can be slow or fail on demand.

    python -m samples.version --name stable --port 9001 [--delay 250ms] [--slower 2] [--fail 0.05]

    /        one line whose first word is the version's name; the knobs below bend the answer
    /echo    the request as it arrived: method, target, headers in their order, body, as JSON
    /upload  how many bytes the body had and their SHA-256, as JSON

Knobs are query fields: `status=503`, `delay=250ms`, `size=1048576` (a body of that many bytes),
`chunks=10&interval=100ms` (that many server-sent events). It knows nothing of the proxy before it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket
from gevent.pywsgi import WSGIHandler, WSGIServer
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BLOCK = 64 * 1024
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|)")


def seconds(text: str) -> float:
    """`250ms`, `2s` or `0.25` in seconds. Raises ValueError."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 250ms, 2s or 0.25")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def share(text: str) -> float:
    """A number from 0 to 1. Raises ValueError."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not between 0 and 1")
    return value


@dataclass(frozen=True, slots=True)
class Knobs:
    """What one request asks for: durations in seconds, `size` in bytes. None: not asked for."""

    status: int = 200
    delay: float = 0.0
    size: int | None = None
    chunks: int | None = None
    interval: float = 0.0

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Knobs:
        """From query fields; those that are no knob are ignored. Raises BadRequest."""
        try:
            knobs = cls(**{name: kind(fields[name]) for name, kind in KNOBS.items() if name in fields})
        except ValueError as error:
            raise BadRequest(str(error)) from error
        if not 200 <= knobs.status <= 599 or (knobs.size or 0) < 0 or (knobs.chunks or 0) < 0:
            raise BadRequest("status is 200 to 599, size and chunks are 0 or more")
        return knobs


KNOBS: dict[str, Callable[[str], Any]] = {
    "status": int,
    "delay": seconds,
    "size": int,
    "chunks": int,
    "interval": seconds,
}


class Version:
    """The WSGI app of one version: every request waits `delay` seconds, a share `fail` of them gets 503.

    `slower`: that wait, and the one that a request asks for, times this.
    """

    def __init__(
        self,
        name: str,
        *,
        delay: float = 0.0,
        slower: float = 1.0,
        fail: float = 0.0,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._delay = delay
        self._slower = slower
        self._fail = fail
        self._rng = rng

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except HTTPException as error:
            response = _text(f"{self.name} refuses: {error.description}", error.code or 500)
        response.headers["X-Version"] = self.name
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        knobs = Knobs.read(request.args)
        gevent.sleep((self._delay + knobs.delay) * self._slower)
        if self._rng() < self._fail:
            return _text(f"{self.name} fails", 503)
        return PAGES.get(request.path, hello)(self, request, knobs)


def hello(version: Version, request: Request, knobs: Knobs) -> Response:
    """Who answered, or the body the knobs ask for."""
    if knobs.chunks is not None:
        events = _events(version.name, knobs.chunks, knobs.interval)
        return Response(events, knobs.status, mimetype="text/event-stream")
    if knobs.size is not None:
        headers = {"Content-Length": str(knobs.size)}
        return Response(_filler(knobs.size), knobs.status, headers, mimetype="application/octet-stream")
    port = request.environ["SERVER_PORT"]
    return _text(f"{version.name} {request.method} {request.path} on port {port}", knobs.status)


def echo(_version: Version, request: Request, knobs: Knobs) -> Response:
    """The request as it came off the wire; bytes that are not ASCII read as Latin-1."""
    seen = {
        "method": request.method,
        "target": request.environ["samples.target"],
        "headers": request.environ["samples.headers"],
        "body": request.get_data(parse_form_data=False).decode("latin-1"),
    }
    return _json(seen, knobs.status)


def upload(_version: Version, request: Request, knobs: Knobs) -> Response:
    """Reads the body to its end, keeping none of it."""
    digest, length = hashlib.sha256(), 0
    while block := request.stream.read(BLOCK):
        digest.update(block)
        length += len(block)
    return _json({"bytes": length, "sha256": digest.hexdigest()}, knobs.status)


PAGES: dict[str, Callable[[Version, Request, Knobs], Response]] = {"/echo": echo, "/upload": upload}


def _text(line: str, status: int) -> Response:
    return Response(f"{line}\n", status, mimetype="text/plain")


def _json(value: object, status: int) -> Response:
    return Response(json.dumps(value) + "\n", status, mimetype="application/json")


def _filler(size: int) -> Iterator[bytes]:
    block = b"x" * BLOCK
    for _ in range(size // BLOCK):
        yield block
    yield block[: size % BLOCK]


def _events(name: str, count: int, interval: float) -> Iterator[bytes]:
    for number in range(count):
        if number:
            gevent.sleep(interval)
        yield f"data: {name} {number}\n\n".encode()


class Handler(WSGIHandler):
    """gevent's handler, with Nagle off and without the loss of what WSGI folds away."""

    def handle(self) -> None:
        """Serves one connection; with Nagle on, each kept-alive answer waits 40 ms for a delayed ACK."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def get_environ(self) -> WSGIEnvironment:
        """The environ, with the raw `samples.target` and `samples.headers`, a list of [name, value]."""
        environ: WSGIEnvironment = super().get_environ()
        lines = (line.partition(":") for line in self.headers.headers)
        environ["samples.headers"] = [[name, value.strip()] for name, _, value in lines]
        environ["samples.target"] = self.path
        return environ


def server(version: Version, host: str = "127.0.0.1", port: int = 0) -> WSGIServer:
    """A server for the version, not yet started; port 0 takes any free one."""
    return WSGIServer((host, port), version, handler_class=Handler, log=None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samples.version", description=__doc__.splitlines()[0])
    parser.add_argument("--name", default="stable", help="who the version says it is (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="port to listen on (%(default)s); 0: any")
    parser.add_argument("--delay", type=seconds, default=0.0, help="how long every answer waits, as in 250ms")
    parser.add_argument("--slower", type=float, default=1.0, help="that, and the knob delay, times this")
    parser.add_argument("--fail", type=share, default=0.0, help="share of answers that are 503, as in 0.05")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Serves one version until SIGTERM or SIGINT."""
    flags = _parser().parse_args(argv)
    version = Version(flags.name, delay=flags.delay, slower=flags.slower, fail=flags.fail)
    serving = server(version, flags.host, flags.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, serving.stop)
    try:
        serving.start()
    except OSError as error:
        raise SystemExit(f"cannot listen on {flags.host}:{flags.port}: {error.strerror}") from error
    print(f"{flags.name} listens on http://{flags.host}:{serving.server_port}", flush=True)
    serving.serve_forever()


if __name__ == "__main__":
    main()
