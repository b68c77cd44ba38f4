"""`kill -9` at random moments under writers: what was acknowledged is there, and nothing else is."""

from __future__ import annotations

import json
import random
from collections import Counter

import gevent
import pytest
from gevent import socket

from tests.support.kv_process import KvProcess

ROUNDS, WRITERS, ENOUGH, SAMPLE = 20, 8, 60, 20


class Writer:
    """Writes numbers under a key of its own, each once, over a raw connection, until the server is gone."""

    def __init__(self, key):
        self.key, self.sent = key, 0
        self.acknowledged = {}  # revision -> value

    def run(self, address):
        try:
            with (
                socket.create_connection(address, timeout=10) as connection,
                connection.makefile("rb") as answers,
            ):
                while True:
                    self._write(connection, answers)
        except OSError:
            return

    def _write(self, connection, answers):
        self.sent += 1
        body = b"%d" % self.sent
        connection.sendall(
            b"PUT /v1/kv/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (self.key.encode(), len(body), body)
        )
        answer = _read(answers)
        self.acknowledged[answer["revision"]] = self.sent


def _read(answers):
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

    def __init__(self, connection):
        self._connection, self._answers = connection, connection.makefile("rb")

    def get(self, target):
        self._connection.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode())
        return _read(self._answers)


def _work_until_killed(kv, writers, chance):
    tasks = [gevent.spawn(writer.run, kv.address) for writer in writers]
    goal = sum(len(writer.acknowledged) for writer in writers) + chance.randint(ENOUGH, 2 * ENOUGH)
    with gevent.Timeout(20):
        while sum(len(writer.acknowledged) for writer in writers) < goal:
            gevent.sleep(chance.random() / 500)
    kv.kill9()
    gevent.joinall(tasks, timeout=10, raise_error=True)


def _check(reader, writer, history):
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


def _check_all(kv, writers):
    taken = Counter()
    with socket.create_connection(kv.address, timeout=10) as connection:
        reader = Reader(connection)
        for writer in writers:
            history = reader.get(f"/v1/kv/{writer.key}?history=100")["versions"]
            _check(reader, writer, history)
            taken.update(version["revision"] for version in history)
    assert set(taken.values()) == {1}


@pytest.mark.end_to_end
def test_no_acknowledged_write_is_lost(tmp_path):
    chance = random.Random(1)
    kv, writers = KvProcess(tmp_path), [Writer(f"k{number}") for number in range(WRITERS)]
    try:
        kv.start()
        for _ in range(ROUNDS):
            _work_until_killed(kv, writers, chance)
            kv.start()
            _check_all(kv, writers)
    finally:
        kv.stop()
    assert sum(len(writer.acknowledged) for writer in writers) >= 1_000
