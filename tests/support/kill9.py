"""`kill -9` at random moments under writers: what was acknowledged is there, and nothing else is."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any, Self

import gevent
from gevent import socket

from kv.engine.sqlite import SqliteEngine
from kv.model import Meta, Put
from tests.support.kv_process import KvProcess
from tests.support.raw import Address

WRITERS, ENOUGH, SAMPLE = 8, 60, 20


class Writer:
    """Writes numbers under a key of its own, each once, over a raw connection, until the server is gone."""

    def __init__(self, key: str) -> None:
        self.key, self.sent = key, 0
        self.acknowledged: dict[int, int] = {}  # revision -> value

    def run(self, address: Address) -> None:
        try:
            with (
                socket.create_connection(address, timeout=10) as connection,
                connection.makefile("rb") as answers,
            ):
                while True:
                    self._write(connection, answers)
        except OSError:
            return

    def _write(self, connection: socket.socket, answers: IO[bytes]) -> None:
        self.sent += 1
        body = b"%d" % self.sent
        connection.sendall(
            b"PUT /v1/kv/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (self.key.encode(), len(body), body)
        )
        answer = _read(answers)
        self.acknowledged[answer["revision"]] = self.sent


def _read(answers: IO[bytes]) -> Any:
    status, length = answers.readline(), 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = answers.read(length)
    if not status or len(body) < length or not length:
        raise ConnectionResetError("the server is gone")
    assert status.split()[1] in (b"200", b"201"), status
    return json.loads(body)


class Reader:
    """Reads over one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._answers = connection, connection.makefile("rb")

    def get(self, target: str) -> Any:
        self._connection.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode())
        return _read(self._answers)


class Trial:
    """Rounds of writers under whom the config server in `folder` is killed; it begins with so many `keys`.

    `acknowledged`, `open` (without an answer when the server went) and `openings` (seconds from the start of the
    process until it listens) are over all rounds.
    """

    def __init__(self, folder: Path, keys: int = 0, seed: int = 1) -> None:
        self.server = KvProcess(folder)
        self._chance = random.Random(seed)
        self._writers = [Writer(f"k{number}") for number in range(WRITERS)]
        self.openings: list[float] = []
        self.open = 0
        _fill(folder / "kv.db", keys - WRITERS)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def acknowledged(self) -> int:
        return sum(len(writer.acknowledged) for writer in self._writers)

    def round(self) -> None:
        """Raises AssertionError if anything acknowledged is lost, or anything there was never asked for."""
        self._work_until_killed()
        begun = time.monotonic()
        self.server.start()
        self.openings.append(time.monotonic() - begun)
        self._check()

    def _work_until_killed(self) -> None:
        tasks = [gevent.spawn(writer.run, self.server.address) for writer in self._writers]
        goal = self.acknowledged + self._chance.randint(ENOUGH, 2 * ENOUGH)
        with gevent.Timeout(20):
            while self.acknowledged < goal:
                gevent.sleep(self._chance.random() / 500)
        self.server.kill9()
        gevent.joinall(tasks, timeout=10, raise_error=True)
        self.open = sum(writer.sent - len(writer.acknowledged) for writer in self._writers)

    def _check(self) -> None:
        taken: Counter[int] = Counter()
        with socket.create_connection(self.server.address, timeout=10) as connection:
            reader = Reader(connection)
            for writer in self._writers:
                history = reader.get(f"/v1/kv/{writer.key}?history=100")["versions"]
                _check(reader, writer, history)
                taken.update(version["revision"] for version in history)
        assert set(taken.values()) == {1}


def _fill(path: Path, keys: int) -> None:
    if keys > 0:
        engine = SqliteEngine(path)
        engine.open()
        engine.commit(
            (), [Put(f"other/{number}", b'{"number": %d}' % number) for number in range(keys)], Meta()
        )
        engine.close()


def _check(reader: Reader, writer: Writer, history: list[Any]) -> None:
    """The newest is what was acknowledged last or was on its way; all revisions kept are the writer's own."""
    acknowledged = writer.acknowledged
    assert max(acknowledged) <= history[0]["revision"]
    oldest = history[-1]["revision"]
    lost = {revision for revision in acknowledged if revision >= oldest} - {v["revision"] for v in history}
    assert not lost
    values = {v["revision"]: reader.get(f"/v1/kv/{writer.key}?rev={v['revision']}") for v in history[:SAMPLE]}
    for revision, value in values.items():
        assert acknowledged.get(revision, value) == value
        assert 0 < value <= writer.sent
    assert sorted(values.values(), reverse=True) == list(values.values())
