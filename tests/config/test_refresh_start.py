from __future__ import annotations

from pathlib import Path

import gevent
import pytest

from tests.config.instance import Instance
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import free_port, wait_until

NOBODY = f"http://127.0.0.1:{free_port()}"


def test_the_first_config_is_there_when_start_returns(server: FakeConfigServer, instance: Instance) -> None:
    instance.start(server.url)
    assert (instance.ratio, instance.state().source) == (0.0, "config_server")
    assert instance.state().etag == server.etag


def test_an_empty_server_gets_the_first_config(empty_server: FakeConfigServer, instance: Instance) -> None:
    instance.start(empty_server.url)
    assert empty_server.raw == document(ratio=0.01)
    assert (instance.ratio, instance.state().source) == (0.01, "config_server")


def test_who_loses_the_race_takes_the_winners(empty_server: FakeConfigServer, instance: Instance) -> None:
    empty_server.before_write = lambda: empty_server.put(empty_server.raw or document(ratio=0.5))
    instance.start(empty_server.url)
    assert (empty_server.raw, instance.ratio) == (document(ratio=0.5), 0.5)


def test_many_starting_at_once_create_one_document(empty_server: FakeConfigServer, tmp_path: Path) -> None:
    instances = [_instance(tmp_path / str(number), number / 100) for number in range(8)]
    gevent.joinall([gevent.spawn(each.start, empty_server.url) for each in instances], raise_error=True)
    assert empty_server.revision == 1
    assert {each.state().etag for each in instances} == {empty_server.etag}
    for each in instances:
        each.stop()


@pytest.mark.parametrize("mood", ["fail", "garbage", "hang", "trickle", "oversized"])
def test_the_last_good_config_serves_while_the_server_is_of_no_use(
    server: FakeConfigServer, instance: Instance, mood: str
) -> None:
    _have_kept(instance, server, document(ratio=0.3))
    server.mood = mood
    instance.start(server.url)
    assert (instance.ratio, instance.state().source) == (0.3, "last_good")
    server.mood = "well"
    instance.shows(source="config_server", error=None, rejected=None)


def test_the_last_good_config_serves_while_the_document_is_wrong(
    server: FakeConfigServer, instance: Instance
) -> None:
    _have_kept(instance, server, document(ratio=0.3))
    server.put(document(ratio=7))
    instance.start(server.url)
    assert (instance.ratio, instance.state().source) == (0.3, "last_good")
    assert list(instance.state().rejected.faults) == ["ratio"]


def test_the_first_config_serves_while_the_document_is_wrong(
    server: FakeConfigServer, instance: Instance
) -> None:
    server.put(document(ratio=7))
    instance.start(server.url)
    assert (instance.ratio, instance.state().source) == (0.01, "file")
    assert server.raw == document(ratio=7)


def test_the_first_config_serves_until_the_server_comes_and_is_then_created(
    empty_server: FakeConfigServer, instance: Instance
) -> None:
    empty_server.stop()
    instance.start(empty_server.url)
    assert (instance.ratio, instance.state().source, instance.state().etag) == (0.01, "file", None)
    empty_server.start()
    instance.shows(source="config_server")
    assert instance.state().etag == empty_server.etag
    assert empty_server.raw == document(ratio=0.01)


def test_a_document_that_is_there_beats_the_first_config(
    server: FakeConfigServer, instance: Instance
) -> None:
    server.stop()
    instance.start(server.url)
    server.start()
    instance.gets(0.0)
    assert server.raw == document()


def test_a_document_deleted_between_two_starts_is_not_created_again(
    server: FakeConfigServer, instance: Instance
) -> None:
    _have_kept(instance, server, document(ratio=0.3))
    server.put(None)
    instance.start(server.url)
    assert (instance.ratio, instance.state().source, instance.state().missing) == (0.3, "last_good", True)
    assert server.raw is None


@pytest.mark.parametrize("content", [b"not JSON", b"{}", b"[]", b'{"document": 7}', b"\xff"])
def test_a_spoilt_state_file_is_no_config(instance: Instance, content: bytes) -> None:
    instance.last_good.path.parent.mkdir()
    instance.last_good.path.write_bytes(content)
    instance.start(NOBODY)
    assert instance.state().source == "file"


def test_without_any_config_it_starts_and_waits_for_one(
    empty_server: FakeConfigServer, instance: Instance
) -> None:
    instance.config_file.write_bytes(document(ratio=7))
    instance.start(empty_server.url)
    assert (instance.configs, instance.state().source, instance.state().missing) == ([], None, True)
    empty_server.put(document(ratio=0.4))
    wait_until(lambda: instance.configs)
    assert instance.ratio == 0.4


def test_what_is_no_address_is_said_at_once(instance: Instance) -> None:
    with pytest.raises(ValueError, match="scheme"):
        instance.start("ftp://nobody")


def _instance(directory: Path, ratio: float) -> Instance:
    directory.mkdir()
    made = Instance(directory)
    made.config_file.write_bytes(document(ratio=ratio))
    return made


def _have_kept(instance: Instance, server: FakeConfigServer, raw: bytes) -> None:
    server.put(raw)
    instance.start(server.url).stop()
