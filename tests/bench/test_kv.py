"""What the benchmark of stores asks, who watches, and how it tells it."""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode

import pytest

from bench.kv import ASKED, COLUMNS, Sample, Watchers, ask, etag, requests, row, rows
from bench.stores import ETCD, KEY, SERIN, SERIN_ON_ETCD, SIZE, STORES
from tests.support.kv_process import KvProcess

STAMPS = ("0" * 16, "1234567890123456")


def sample(rate: float) -> Sample:
    return Sample(rate, 1.0, 2.0, 10.0, 1)


@pytest.mark.parametrize("stamp", STAMPS)
def test_a_document_for_etcd_is_sound_base64(stamp: str) -> None:
    _, _, body = ETCD.requests["write"].raw(stamp).partition(b"\r\n\r\n")
    put = json.loads(body)
    assert b64decode(put["key"], validate=True).startswith(b"bench/")
    assert abs(len(b64decode(put["value"], validate=True)) - SIZE) < 20


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.name)
def test_only_writes_go_to_many_keys(store) -> None:
    read, write = store.requests["read"], store.requests["write"]
    assert "@" not in read.path + read.body
    assert KEY in read.path + read.body
    assert "@KEY@" in write.path + write.body
    assert "@STAMP@" in write.body


def test_a_request_says_how_long_it_is() -> None:
    head, _, body = SERIN.requests["write"].raw(STAMPS[1]).partition(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)", head)
    assert length
    assert int(length[1]) == len(body)
    assert json.loads(body)["stamp"] == STAMPS[1]


def test_every_watcher_hears_of_every_change(tmp_path) -> None:
    with KvProcess(tmp_path) as process:
        ask(process.address, SERIN.requests["write"], STAMPS[0])
        before = etag(process.address, SERIN)
        with Watchers(process.address, SERIN, 20) as crowd:
            assert all(0 < crowd.change(number) < 10 for number in (10**15, 10**15 + 1))
        assert etag(process.address, SERIN) != before


@pytest.mark.skipif(ETCD.missing(), reason="etcd is not installed")
def test_every_watcher_of_etcd_hears_of_every_change(tmp_path) -> None:
    with ETCD.running(tmp_path, min(os.sched_getaffinity(0))) as (_, address):
        ask(address, ETCD.requests["write"], STAMPS[0])
        assert etag(address, ETCD) == ""
        with Watchers(address, ETCD, 20) as crowd:
            assert 0 < crowd.change(10**15) < 10


@pytest.mark.skipif(ETCD.missing(), reason="etcd is not installed")
def test_what_serin_writes_on_etcd_is_in_that_etcd(tmp_path) -> None:
    with SERIN_ON_ETCD.running(tmp_path, min(os.sched_getaffinity(0))) as (processes, address):
        ask(address, SERIN_ON_ETCD.requests["write"], STAMPS[0])
        assert etag(address, SERIN_ON_ETCD) != ""
        assert len(set(processes)) == 2
    assert (tmp_path / "etcd" / "member").is_dir()
    assert not (tmp_path / "kv.db").exists()


def test_without_an_etag_there_are_no_conditional_reads() -> None:
    asked = [(name, clients) for name, clients, _ in requests(SERIN, '"1-a"')]
    assert asked == [(name, clients) for name in ASKED for clients in (1, 64)]
    assert {name for name, _, _ in requests(ETCD, "")} == {"read", "write"}
    assert {each.etag for name, _, each in requests(SERIN, '"1-a"') if name == "unchanged"} == {'"1-a"'}


def test_ratios_are_taken_within_a_round() -> None:
    samples = {
        ("watch", 10, SERIN.name): [sample(10), sample(20)],
        ("write", 64, SERIN.name): [sample(10), sample(20)],
        ("write", 64, ETCD.name): [sample(5), sample(40)],
    }
    line = row("write", 64, SERIN, samples)
    assert len(line) == len(COLUMNS)
    assert line[3:5] == ("15 (10–20)", "1.25")
    assert row("watch", 10, SERIN, samples)[3:6] == ("–", "–", "1.00")
    assert [each[0] for each in rows(STORES, samples)] == ["durable write"] * 2 + [
        "change to the last watcher"
    ]
