from __future__ import annotations

import json
import random

import pytest

from tests.config.instance import Instance
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import wait_until

SLOW = 3600  # an update_rate at which the poll never comes within a test


@pytest.mark.parametrize("cut_watch", [False, True])
def test_a_change_arrives_by_watch_and_by_poll(
    server: FakeConfigServer, instance: Instance, cut_watch: bool
) -> None:
    server.put(document(update_rate=0.05 if cut_watch else SLOW))
    server.cut_watch = cut_watch
    instance.start(server.url)
    for step in range(1, 21):
        server.put(document(update_rate=0.05 if cut_watch else SLOW, ratio=step / 100))
        instance.gets(step / 100)
    instance.shows(etag=server.etag, revision=22, source="config_server", changes=21)


def test_every_unchanged_round_is_conditional(server: FakeConfigServer, instance: Instance) -> None:
    instance.start(server.url)
    wait_until(lambda: len(server.requests) > 10)
    assert len(instance.configs) == instance.state().changes == 1
    assert instance.state().age < 5


def test_an_idle_watch_is_left_waiting(server: FakeConfigServer, instance: Instance) -> None:
    instance.start(server.url)
    wait_until(lambda: len(server.requests) > 10)
    assert sum("watch" in query for _, query in server.requests) == 1


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (document(ratio=7), "ratio"),
        (document(style="ratoi"), "style"),
        (document(salt="x" * 20_000), "salt"),
        (b"not JSON", ""),
        (b"[]", ""),
    ],
    ids=["ratio", "style", "large", "text", "list"],
)
def test_a_wrong_document_changes_nothing_until_it_is_mended(
    server: FakeConfigServer, instance: Instance, raw: bytes, field: str
) -> None:
    instance.start(server.url)
    good = server.etag
    server.put(raw)
    wait_until(lambda: instance.state().rejected)
    assert list(instance.state().rejected.faults) == [field]
    assert instance.state().rejected.etag == server.etag
    assert (instance.state().etag, len(instance.configs)) == (good, 1)
    server.put(document(ratio=0.5))
    instance.gets(0.5)
    assert instance.state().rejected is None


def test_a_wrong_document_is_logged_once(
    server: FakeConfigServer, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    instance.start(server.url)
    server.put(document(ratio=7))
    wait_until(lambda: instance.state().rejected)
    rounds = len(server.requests)
    wait_until(lambda: len(server.requests) > rounds + 10)
    assert sum("ratio: got 7" in record.getMessage() for record in caplog.records) == 1


def test_going_back_to_the_document_in_force_clears_the_rejected_one(
    server: FakeConfigServer, instance: Instance
) -> None:
    instance.start(server.url)
    server.put(document(ratio=7))
    wait_until(lambda: instance.state().rejected)
    server.raw, server.revision = document(), 0
    server.put(document())
    instance.shows(rejected=None, etag=server.etag, changes=1)


@pytest.mark.parametrize("mood", ["fail", "garbage", "oversized", "redirect", "stranger", "hang", "trickle"])
def test_a_misbehaving_server_changes_nothing(
    server: FakeConfigServer, instance: Instance, mood: str
) -> None:
    instance.start(server.url)
    server.mood = mood
    server.put(document(ratio=0.5))
    wait_until(lambda: instance.state().error or instance.state().rejected)
    assert len(instance.configs) == 1
    server.mood = "well"
    server.put(document(ratio=0.6))
    instance.gets(0.6)
    instance.shows(error=None, rejected=None)


@pytest.mark.parametrize("update_rate", [0.05, SLOW])
def test_in_step_soon_after_the_server_is_back(
    server: FakeConfigServer, instance: Instance, update_rate: float
) -> None:
    server.put(document(update_rate=update_rate))
    instance.start(server.url)
    server.stop()
    wait_until(lambda: instance.state().error)
    assert instance.state().source == "config_server"
    server.put(document(ratio=0.5, update_rate=update_rate))
    server.start()
    instance.gets(0.5, deadline=3)


def test_a_deleted_document_stays_in_force_and_is_not_created_again(
    server: FakeConfigServer, instance: Instance
) -> None:
    instance.start(server.url)
    server.put(None)
    instance.shows(missing=True)
    rounds = len(server.requests)
    wait_until(lambda: len(server.requests) > rounds + 5)
    assert (server.raw, len(instance.configs)) == (None, 1)
    server.put(document(ratio=0.5))
    instance.gets(0.5)
    assert not instance.state().missing


def test_a_lower_update_rate_wakes_the_sleeping_poll(server: FakeConfigServer, instance: Instance) -> None:
    server.put(document(update_rate=SLOW))
    instance.start(server.url)
    wait_until(lambda: any("watch" in query for _, query in server.requests))
    server.put(document(update_rate=0.05))
    wait_until(lambda: sum("watch" not in query for _, query in server.requests) > 3)


def test_a_config_that_cannot_be_put_in_force_replaces_nothing(
    server: FakeConfigServer, instance: Instance
) -> None:
    instance.start(server.url)
    good, instance.refuses = server.etag, True
    server.put(document(ratio=0.5))
    wait_until(lambda: instance.state().rejected)
    assert instance.state().etag == good
    instance.refuses = False
    server.put(document(ratio=0.6))
    instance.gets(0.6)


def test_a_large_document_is_taken(server: FakeConfigServer, instance: Instance) -> None:
    instance.start(server.url)
    servers = [{"url": f"http://10.0.{number // 256}.{number % 256}:80"} for number in range(900)]
    raw = json.dumps({"stable": {"servers": servers}}).encode()
    server.put(raw)
    wait_until(lambda: len(instance.configs[-1].stable.servers) == 900)


class Impatient(random.Random):
    """Always draws the shortest, so that no test waits, and remembers the longest it might have drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.longest.append(b)
        return a


def test_a_watch_that_fails_is_tried_again_ever_less_often(
    server: FakeConfigServer, instance: Instance
) -> None:
    server.put(document(update_rate=SLOW))
    rng = Impatient()
    instance.start(server.url, rng=rng)
    server.stop()
    wait_until(lambda: len(rng.longest) > 10)
    assert rng.longest[:9] == [1.0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5, 2.5]


def test_stop_ends_everything(server: FakeConfigServer, instance: Instance) -> None:
    instance.start(server.url)
    instance.stop()
    asked = len(server.requests)
    server.put(document(ratio=0.5))
    assert (len(server.requests), len(instance.configs)) == (asked, 1)
