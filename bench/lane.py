"""What the fast lane itself costs a request: everything but the sockets, which are stand-ins here.

    python -m bench.lane [--instructions]

A microsecond of the whole is lost in the noise of a machine; in here it is a seventh. With `--instructions` they are
counted (by valgrind, from Debian), which no noise touches: the same figure twice, whatever else the machine does.
"""

from gevent import monkey

monkey.patch_all()

import _socket  # noqa: E402
import argparse  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from types import SimpleNamespace  # noqa: E402

from app.clock import Clock  # noqa: E402
from app.config.schema import load  # noqa: E402
from app.proxy.fast_lane import FastLane  # noqa: E402
from app.proxy.fleet import Fleet  # noqa: E402
from app.proxy.gateway import Gateway  # noqa: E402
from app.proxy.stats import Stats  # noqa: E402
from app.stream import Stream  # noqa: E402
from app.upstream.connection import Connection  # noqa: E402

REQUESTS = {
    "small": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "browser": (
        b"GET /shop/index.html?page=1 HTTP/1.1\r\nHost: localhost\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Referer: http://localhost/shop/\r\nConnection: keep-alive\r\n"
        b"Cookie: serin=0123456789abcdef0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n"
        b"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\r\n"
    ),
}
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 17:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 7\r\nConnection: keep-alive\r\nX-Version: stable\r\n\r\nstable\n"
)
DOCUMENT = {
    "ratio": 0.05,
    "sticky_sessions": True,
    "stable": {"servers": [{"url": "http://127.0.0.1:9001"}]},
    "canary": {"servers": [{"url": "http://127.0.0.1:9002"}]},
}


class Tape(Stream):
    """A stream on which the same message comes again and again, so many times; what is written is gone."""

    __slots__ = ("_left", "_message")

    def __init__(self, message: bytes, times: int) -> None:
        """Take over no socket."""
        self._message = message
        self._left = times
        self.on_idle_data = None

    def read(self) -> bytes:
        self._left -= 1
        return self._message if self._left >= 0 else b""

    def write(self, data: bytes) -> None:
        pass

    def watch(self) -> None:
        pass

    def quiet(self) -> bool:
        return True

    def close(self) -> None:
        pass


def gateway() -> Gateway:
    """With an idle connection to each server, on which every request is answered."""
    rng, clock, stats = random.Random(1), Clock(), Stats()
    fleet = Fleet(clock, rng, stats.books)
    whole = Gateway(clock, stats, fleet.snapshot(load(DOCUMENT), None), rng)
    for live in fleet.loads.values():
        live.pool.give(Connection(Tape(ANSWER, sys.maxsize), lambda _: None), 60.0)
    return whole


def lane(through: Gateway, request: bytes, times: int) -> FastLane:
    """A client that sends the request so many times, and leaves."""
    socket = SimpleNamespace(setsockopt=lambda *_: None, _sock=_socket.socket())
    application = SimpleNamespace(gateway=through)
    front = SimpleNamespace(application=application, tls=None, proxy_protocol=False, room=1)
    served = FastLane(socket, ("127.0.0.1", 1), front)
    served.stream.close()
    served.stream = Tape(request, times)
    return served


def seconds(request: bytes, times: int) -> float:
    """CPU time of so many requests."""
    served = lane(gateway(), request, times)
    begun = time.process_time()
    served.handle()
    return time.process_time() - begun


def microseconds(name: str, repetitions: int = 15, times: int = 3000) -> float:
    """The least of many repetitions."""
    return min(seconds(REQUESTS[name], times) for _ in range(repetitions)) / times * 1e6


def instructions(name: str, few: int = 1000, many: int = 5000) -> float:
    """By the difference between two counts, which the start is in alike. Raises CalledProcessError."""
    first, second = (counted(name, times) for times in (few, many))
    return (second - first) / (many - few)


def counted(name: str, times: int) -> int:
    """Instructions of a process that starts, and serves so many requests."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += ["-m", "bench.lane", "--serve", name, str(times)]
    told = subprocess.run(
        command, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True
    ).stderr
    collected = re.search(r"Collected : (\d+)", told)
    assert collected, told
    return int(collected[1])


def main(argv: list[str] | None = None) -> None:
    """Measures and prints a line for each request."""
    parser = argparse.ArgumentParser(prog="python -m bench.lane", description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", action="store_true", help="count them, by valgrind")
    parser.add_argument("--serve", nargs=2, metavar=("REQUEST", "TIMES"), help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    if asked.serve:
        seconds(REQUESTS[asked.serve[0]], int(asked.serve[1]))
    elif asked.instructions and shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed: apt-get install valgrind")
    else:
        for name in REQUESTS:
            cost = (
                f"{instructions(name):,.0f} instructions"
                if asked.instructions
                else f"{microseconds(name):.2f} µs"
            )
            print(f"{name}: {cost} a request, without sockets", flush=True)


if __name__ == "__main__":
    main()
