from __future__ import annotations

from pathlib import Path

import pytest

from app.config.document import Document
from app.config.last_good import LastGood
from tests.config.instance import Instance
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import wait_until


def test_what_is_kept_is_read_by_the_next_process(tmp_path: Path) -> None:
    kept = Document(b'{\n "salt": "\xc3\xbc"}', "7-abc", 7, "http://kv")
    _keep(tmp_path, kept)
    assert LastGood(tmp_path, "canary/config").read() == kept
    assert LastGood(tmp_path, "another/config").read() is None
    assert len(list(tmp_path.iterdir())) == 1


def test_the_newest_of_a_flood_is_on_disk_in_the_end(tmp_path: Path) -> None:
    last_good = LastGood(tmp_path, "a/b")
    for revision in range(100):
        last_good.keep(Document(b"{}", str(revision), revision, "http://kv"))
    last_good.flush(5)
    assert LastGood(tmp_path, "a/b").read() == Document(b"{}", "99", 99, "http://kv")


def test_what_is_on_disk_is_not_written_again(tmp_path: Path) -> None:
    last_good, kept = LastGood(tmp_path, "a/b"), Document(b"{}", "1", 1, "http://kv")
    last_good.keep(kept)
    last_good.flush(5)
    written = last_good.path.stat()
    last_good.keep(kept)
    last_good.flush(5)
    assert last_good.path.stat() == written


def test_a_write_that_failed_is_said_once_and_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "state"
    blocked.write_bytes(b"a file where the directory should be")
    last_good, kept = LastGood(blocked, "a/b"), Document(b"{}", "1", 1, "http://kv")
    for _ in range(3):
        last_good.keep(kept)
        last_good.flush(5)
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1
    blocked.unlink()
    last_good.keep(kept)
    last_good.flush(5)
    assert LastGood(blocked, "a/b").read() == kept


def test_a_full_disk_does_not_stop_a_change(server: FakeConfigServer, instance: Instance) -> None:
    instance.last_good.path.parent.write_bytes(b"")
    instance.start(server.url)
    server.put(document(ratio=0.5))
    instance.gets(0.5)
    instance.last_good.path.parent.unlink()
    wait_until(lambda: (kept := instance.last_good.read()) and kept.etag == server.etag)


def _keep(directory: Path, kept: Document) -> None:
    last_good = LastGood(directory, "canary/config")
    last_good.keep(kept)
    last_good.flush(5)
