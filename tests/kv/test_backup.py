"""Backups as files: what is in them, what is noticed about damaged ones, and the commands that save and restore."""

from __future__ import annotations

import hashlib
import io
import json
import os
from contextlib import contextmanager

import gevent
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from kv.backup import Backup, write
from kv.cli import main
from kv.engine.memory import MemoryEngine
from kv.engine.sqlite import SqliteEngine
from kv.errors import BadBackup, Full
from kv.model import Delete, Meta, Put, make_item
from tests.support.kv_helpers import client, opened, problem, put, serving, serving_store
from tests.support.kv_process import KvProcess
from tests.support.processes import fetch, wait_until

VALUES = st.sampled_from([b"1", b'{"x":  "\xc3\xa9\\u0000"}\n', b'"' + b"long" * 99 + b'"', None])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
METAS = st.builds(Meta, TEXTS, TEXTS, st.floats(0, 2e9))


@st.composite
def histories(draw):
    """Versions as an engine gives them."""
    items = []
    for key in sorted(draw(st.sets(st.sampled_from(["a", "a/b", "a.b", "b", "§schema/", "§schema/a/"])))):
        revision, number = 0, draw(st.integers(1, 9))
        for value in draw(st.lists(VALUES, min_size=1, max_size=4)):
            revision += draw(st.integers(1, 9))
            items.append(make_item(key, value, number, revision, draw(METAS)))
            number += 1
    return items


def saved(items, revision=0):
    file = io.BytesIO()
    write(items, revision, 1.5, file)
    return file.getvalue()


def read(raw):
    backup = Backup(io.BytesIO(raw))
    return list(backup), backup


@given(histories(), st.integers(0, 99))
def test_what_is_written_is_read(items, revision):
    raw = saved(items, revision)
    found, backup = read(raw)
    assert found == items
    assert (backup.versions, backup.keys) == (len(items), len({item.key for item in items}))
    assert backup.revision == max([revision, *(item.version.revision for item in items)])
    assert list(backup) == items
    assert len(raw.splitlines()) == len(items) + 2


ITEMS = [
    make_item("a", b'{"x": 1}', 1, 3, Meta("ann", "why", 1.25)),
    make_item("a", None, 2, 4, Meta()),
    make_item("b", b"2", 7, 2, Meta()),
]
WHOLE = saved(ITEMS, 9)


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_no_part_passes_for_the_whole(length):
    with pytest.raises(BadBackup):
        read(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 2), st.integers(0, 255))
def test_no_changed_byte_goes_unnoticed(place, byte):
    changed = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    if changed == WHOLE:
        return
    try:
        found, backup = read(changed)
    except BadBackup:
        return
    assert (found, backup.versions) == (ITEMS, 3)  # it was the revision in the last line that became another


def closed(*lines):
    """A file of these lines, with a last line that fits them."""
    raw = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end = {"revision": 9, "versions": len(lines) - 1, "sha256": hashlib.sha256(raw).hexdigest()}
    return raw + json.dumps(end).encode() + b"\n"


HEAD, FIRST, SECOND, THIRD, END = (json.loads(line) for line in WHOLE.splitlines())


def test_the_tables_here_make_good_files():
    assert read(closed(HEAD, FIRST, SECOND, THIRD))[0] == ITEMS


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([{}], "line 1: not a backup"),
        ([{"backup": 2}], "line 1: a backup by a newer version"),
        ([HEAD, {**FIRST, "value": '{"x": 2}'}], "line 2: the value does not fit the ETag"),
        ([HEAD, {**FIRST, "etag": "3-000000000000"}], "line 2: the value does not fit the ETag"),
        ([HEAD, {**FIRST, "value": "{"}], "line 2: Expecting"),
        ([HEAD, {**FIRST, "value": '{"x": NaN}'}], "line 2: NaN"),
        ([HEAD, {**FIRST, "value": '"\ud800"'}], "line 2: half a surrogate pair"),
        ([HEAD, {**FIRST, "note": "\ud800"}], "line 2: half a surrogate pair"),
        ([HEAD, {**FIRST, "value": {"x": 1}}], "line 2: a version has"),
        ([HEAD, {**FIRST, "more": 1}], "line 2: a version has"),
        ([HEAD, {name: FIRST[name] for name in FIRST if name != "note"}], "line 2: a version has"),
        ([HEAD, {**FIRST, "key": "../a"}], "line 2: a key is"),
        ([HEAD, {**FIRST, "key": "§schema/../a"}], "line 2: a key is"),
        ([HEAD, {**FIRST, "revision": True}], "line 2: a version has"),
        ([HEAD, {**FIRST, "revision": 0}], "line 2: a revision out of bounds"),
        ([HEAD, {**FIRST, "revision": 2**63}], "line 2: a revision out of bounds"),
        ([HEAD, {**FIRST, "version": -1}], "line 2: a version out of bounds"),
        ([HEAD, {**FIRST, "modified": float("inf")}], "line 2: a time out of bounds"),
        ([HEAD, FIRST, FIRST], "line 3: a version out of order"),
        ([HEAD, SECOND, FIRST], "line 3: a version out of order"),
        ([HEAD, FIRST, {**SECOND, "version": 3}], "line 3: a version out of order"),
        ([HEAD, FIRST, {**SECOND, "revision": 3}], "line 3: a version out of order"),
        ([HEAD, THIRD, FIRST], "line 3: a version out of order"),
        ([HEAD, 7], "line 2: not a JSON object"),
        ([HEAD, [[]]], "line 2: not a JSON object"),
    ],
)
def test_what_is_wrong_is_told(lines, told):
    with pytest.raises(BadBackup) as caught:
        read(closed(*lines))
    assert caught.value.detail.startswith(told)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (WHOLE + b"\n", "something after the end"),
        (WHOLE + WHOLE, "something after the end"),
        (WHOLE.replace(b'"revision": 9', b'"revision": 3'), "revision is too low"),
        (WHOLE.replace(b'"versions": 3', b'"versions": 2'), "number of versions"),
        (WHOLE.replace(b'"created": 1.5', b'"created": 2.5'), "SHA-256"),
        (b"[" * 100_000 + b"\n", "not a JSON object"),
        (b"1" * 5_000 + b"\n", "not a JSON object"),
        (b" " * 5_000_000, "line too long"),
        (b"", "cut off"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(raw, told):
    with pytest.raises(BadBackup, match=told):
        read(raw)


def test_over_http(http, store):
    put(store.engine, "a", b"1")
    put(store.engine, "a", b"2")
    response = http.get("/-/backup")
    assert (response.status_code, response.mimetype) == (200, "application/x-ndjson")
    assert response.content_length == len(response.data)
    items, backup = read(response.data)
    assert (items, backup.revision) == (list(store.engine.backup()), 2)
    response.close()


def test_head(http, store):
    put(store.engine, "a", b"1")
    response = http.head("/-/backup")
    assert (response.data, response.content_length > 100) == (b"", True)


def test_no_parameters(http):
    assert problem(http.get("/-/backup?x=1"))["status"] == 400


def test_no_room_for_a_backup(store):
    class Disk(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(Full, match="No space"):
        store.backup(Disk())


def test_backups_take_turns():
    class Counting(MemoryEngine):
        under_way = most = 0

        def backup(self):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            gevent.sleep(0.001)
            yield from super().backup()
            self.under_way -= 1

    engine = Counting()
    with serving_store(engine) as store:
        gevent.joinall([gevent.spawn(store.backup, io.BytesIO()) for _ in range(5)], raise_error=True)
    assert engine.most == 1


# The commands


def kv(*arguments, **env):
    return CliRunner(env=env).invoke(main, arguments)


@contextmanager
def served(path):
    """An SQLite store that answers HTTP: the store, and its URL."""
    with serving_store(SqliteEngine(path)) as store, serving(store) as server:
        yield store, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def backup(tmp_path):
    """A backup of a store with three keys, and what was in it."""
    file = tmp_path / "kv.jsonl"
    with served(tmp_path / "first.db") as (store, url):
        store.engine.commit((), [Put("a", b"1"), Put("b", b"2")], Meta("ann", "first", 1.5))
        store.engine.commit((), [Put("a", b'{"x":  2}'), Delete("b")], Meta())
        store.engine.commit((), [Put("c", b"3")], Meta())
        assert (
            kv("backup", str(file), KV_URL=url).stdout == f"{file}: saved 5 versions of 3 keys, revision 3\n"
        )
        return file, list(store.engine.backup())


def test_restored(backup, tmp_path):
    file, items = backup
    path = tmp_path / "second.db"
    result = kv("restore", str(file), "--store", f"sqlite:///{path}")
    assert (result.exit_code, result.stdout) == (
        0,
        f"sqlite:///{path}: restored 5 versions of 3 keys, revision 3\n",
    )
    with opened(SqliteEngine(path)) as engine:
        assert list(engine.backup()) == items
        assert put(engine, "d", b"4").revision == 4


def test_json_for_programs(backup, tmp_path):
    told = kv("restore", str(backup[0]), "--json", KV_STORE=f"sqlite:///{tmp_path / 'second.db'}").stdout
    assert json.loads(told) == {"keys": 3, "versions": 5, "revision": 3}


def test_a_store_that_holds_something_is_spared(backup, tmp_path):
    file, items = backup
    path = tmp_path / "second.db"
    with opened(SqliteEngine(path)) as engine:
        put(engine, "mine", b"1")
    refused = kv("restore", str(file), "--store", f"sqlite:///{path}")
    assert (refused.exit_code, "--force" in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)
    with opened(SqliteEngine(path)) as engine:
        assert [item.key for item in engine.backup()] == ["mine"]
    assert kv("restore", str(file), "--store", f"sqlite:///{path}", "--force").exit_code == 0
    with opened(SqliteEngine(path)) as engine:
        assert list(engine.backup()) == items


def test_a_store_in_use_is_not_touched(backup, tmp_path):
    with served(tmp_path / "first.db"):
        refused = kv("restore", str(backup[0]), "--force", "--store", f"sqlite:///{tmp_path / 'first.db'}")
    assert (refused.exit_code, f"held by process {os.getpid()}" in refused.stderr) == (1, True)


def test_half_a_backup_is_not_restored(backup, tmp_path):
    file, _ = backup
    file.write_bytes(file.read_bytes()[:-9])
    path = tmp_path / "second.db"
    refused = kv("restore", str(file), "--store", f"sqlite:///{path}")
    assert (refused.exit_code, "line 7: the file is cut off" in refused.stderr, path.exists()) == (
        1,
        True,
        False,
    )


@pytest.mark.parametrize("store", ["memory://", "nothing://", "sqlite://"])
def test_a_store_that_cannot_be_filled(backup, store):
    assert kv("restore", str(backup[0]), "--store", store).exit_code == 2


def test_a_failed_backup_leaves_the_last_one(backup, tmp_path):
    file, _ = backup
    before = file.read_bytes()
    assert kv("backup", str(file), "--url", "http://127.0.0.1:1").exit_code == 3
    with serving_store() as store, serving(store) as server:
        store.backup = lambda file: file.write(b"half a backup")
        refused = kv("backup", str(file), "--url", f"http://127.0.0.1:{server.server_port}")
    assert (refused.exit_code, "no whole backup" in refused.stderr) == (1, True)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "jsonl" in path.name) == ["kv.jsonl"]


def test_a_place_that_cannot_be_written(backup, tmp_path):
    with served(tmp_path / "first.db") as (_, url):
        refused = kv("backup", str(tmp_path / "no" / "kv.jsonl"), "--url", url)
    assert (refused.exit_code, "No such file" in refused.stderr, refused.stderr.count("\n")) == (1, True, 1)


def test_etags_of_what_was_lost_are_never_right_again(tmp_path):
    """An older backup makes revisions run backwards: the half of the ETag that is a hash tells the two apart."""
    file, path = tmp_path / "kv.jsonl", tmp_path / "kv.db"
    with served(path) as (store, url):
        put(store.engine, "a", b'"before"')
        assert kv("backup", str(file), "--url", url).exit_code == 0
        lost = put(store.engine, "a", b'"lost"').results[0].item.version.etag
    assert kv("restore", str(file), "--force", "--store", f"sqlite:///{path}").exit_code == 0
    with serving_store(SqliteEngine(path)) as store:
        http = client(store)
        known = {"If-None-Match": f'"{lost}"'}
        assert http.get("/v1/kv/a", headers=known).data == b'"before"'
        assert http.get("/v1/kv/a?wait=9", headers=known).data == b'"before"'
        again = put(store.engine, "a", b'"after"').results[0].item.version
        assert again.revision == int(lost.partition("-")[0])
        assert http.get("/v1/kv/a", headers=known).data == b'"after"'
        assert http.put("/v1/kv/a", data=b"1", headers={"If-Match": f'"{lost}"'}).status_code == 412


@pytest.mark.end_to_end
def test_a_running_server_is_saved_and_another_one_restored(tmp_path):
    file, written = tmp_path / "kv.jsonl", []

    def write_on(url, key):
        while not file.exists():
            written.append(fetch("PUT", f"{url}/v1/kv/{key}", data=b"%d" % len(written)).json()["revision"])

    with KvProcess(tmp_path) as server:
        writers = [gevent.spawn(write_on, server.url, key) for key in "abcd"]
        wait_until(lambda: len(written) > 50)
        result = gevent.spawn(kv, "backup", str(file), KV_URL=server.url).get(timeout=20)
        assert result.exit_code == 0, result.stderr
        gevent.joinall(writers, timeout=20, raise_error=True)
    items, backup = read(file.read_bytes())
    assert sorted(item.version.revision for item in items) == list(range(1, backup.revision + 1))
    assert kv("restore", str(file), "--force", KV_STORE=f"sqlite:///{tmp_path / 'kv.db'}").exit_code == 0
    with KvProcess(tmp_path) as again:
        answer = fetch("PUT", f"{again.url}/v1/kv/e", data=b"1")
    assert answer.json()["revision"] == backup.revision + 1


def test_one_engine_takes_what_another_has_given(backup):
    file, items = backup
    with file.open("rb") as source, opened(MemoryEngine()) as engine:
        engine.restore(Backup(source), 3)
        assert list(engine.backup()) == items
