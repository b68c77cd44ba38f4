"""`Accept: text/event-stream`: what a key's or a prefix's watcher is sent, and how a stream ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import gevent
import pytest
from gevent import socket

from kv.errors import Unavailable
from kv.incoming import Bounds
from kv.journal import Journal
from kv.model import Delete, Meta, Put, Reset
from kv.stream import Pace
from kv.watch import Hub
from tests.support.events import EventSource
from tests.support.kv_helpers import client, serving, serving_store
from tests.support.processes import ROOT, wait_until
from tests.support.raw import exchange

KEY = "/v1/kv/a/b"
BRISK = Pace(heartbeat=0.05)


@pytest.fixture
def server(store):
    with serving(store) as server:
        yield server


@pytest.fixture
def watch(server):
    """Opens a stream from a path, after the event of an id if one is given."""
    streams = []

    def watch(path, last_event_id=None):
        streams.append(EventSource(("127.0.0.1", server.server_port), path, last_event_id))
        return streams[-1]

    yield watch
    for stream in streams:
        stream.close()


def address(server):
    return ("127.0.0.1", server.server_port)


def put(store, key, value, **options):
    return store.put(key, value, (), Meta(), **options).item.version.etag


def delete(store, key):
    store.delete(key, (), Meta())


def short(events):
    """An event of a prefix in short: what, which key, what value."""
    return [(event.kind, event.json.get("key"), event.json.get("value")) for event in events]


# One key


def test_the_bytes(store, server):
    etag = put(store, "a/b", b'{"x":\n1}').encode()
    request = b"GET /v1/kv/a/b HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n"
    head, _, body = exchange(address(server), request).partition(b"\r\n\r\n")
    assert body == b'retry: 1000\n\nid: %b\nevent: put\ndata: {"x":\ndata: 1}\n\n' % etag
    assert b"\r\nContent-Type: text/event-stream\r\n" in head
    assert b"\r\nCache-Control: no-cache\r\n" in head
    assert b"\r\nX-Store-Revision: 1\r\n" in head


def test_the_present_comes_at_once_and_then_every_change(store, watch):
    first = put(store, "a/b", b"1")
    stream = watch(KEY)
    assert stream.next() == ("put", "1", first)
    assert stream.retry == 1000
    second = put(store, "a/b", b"2")
    assert stream.next() == ("put", "2", second)
    delete(store, "a/b")
    assert stream.next() == ("delete", "null", "0")
    third = put(store, "a/b", b"2")
    assert stream.next() == ("put", "2", third)


def test_nothing_is_news_too(store, watch):
    stream = watch(KEY)
    assert stream.next() == ("delete", "null", "0")
    etag = put(store, "a/b", b"1")
    assert stream.next() == ("put", "1", etag)


@pytest.mark.parametrize("there", [True, False])
def test_what_the_client_has_is_not_sent_again(store, watch, there):
    known = put(store, "a/b", b"1") if there else "0"
    stream = watch(KEY, known)
    etag = put(store, "a/b", b"2")
    assert stream.next() == ("put", "2", etag)


@pytest.mark.parametrize("known", ["0", "1-6b86b273ff34", "7-abc", "", "nonsense"])
def test_whatever_else_it_has_it_gets_the_newest(store, watch, known):
    put(store, "a/b", b"1")
    newest = put(store, "a/b", b"2")
    assert watch(KEY, known).next() == ("put", "2", newest)


def test_what_changes_nothing_is_no_event(store, watch):
    put(store, "a/b", b"1")
    stream = watch(KEY)
    stream.next()
    put(store, "a/b", b"1")
    put(store, "a/c", b"1")
    put(store, "a", b"1")
    etag = put(store, "a/b", b"2")
    assert stream.next() == ("put", "2", etag)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b'{\n  "a": 1\n}\n', '{\n  "a": 1\n}\n'),
        (b'{\r\n"a": 1}\r\n', '{\n"a": 1}\n'),
        (b"[1,\r2]", "[1,\n2]"),
        (b"\n\n1", "\n\n1"),
        (b' "\xe2\x80\xa8 \xc2\x85"', ' "\u2028 \u0085"'),
        (b"null", "null"),
    ],
)
def test_values_of_several_lines(store, watch, raw, data):
    put(store, "a/b", raw)
    assert watch(KEY).next().data == data


def test_a_key_that_goes_by_itself(watch, store):
    put(store, "a/b", b"1", ttl=0.05)
    assert [event.kind for event in watch(KEY).take(2)] == ["put", "delete"]


def test_a_quiet_stream_shows_that_it_lives(store):
    with serving(store, pace=BRISK) as server, EventSource(address(server), KEY, "0") as stream:
        gevent.spawn_later(0.2, put, store, "a/b", b"1")
        stream.next()
    assert stream.comments
    assert set(stream.comments) <= {"0", "1"}


def test_a_stream_ends_when_its_time_is_up(store):
    with serving(store, pace=Pace(60, 0.1, 0.2)) as server, EventSource(address(server), KEY, "0") as stream:
        assert stream.ends()
        wait_until(lambda: not store.hub.watchers)
        etag = put(store, "a/b", b"1")
        with EventSource(address(server), KEY, stream.last_event_id) as again:
            assert again.next().identity == etag


def test_the_end_ends_streams_properly(store):
    with serving(store) as server, EventSource(address(server), KEY, "0") as stream:
        store.hub.release()
        assert stream.ends()
        assert stream.response.getheader("Transfer-Encoding") == "chunked"


def test_after_the_end_there_is_the_present_and_no_more(store, watch):
    put(store, "a/b", b"1")
    store.hub.release()
    assert [event.data for event in watch(KEY)] == ["1"]


def test_streams_are_watchers():
    with serving_store(hub=Hub(limit=1)) as store, serving(store, pace=BRISK) as server:
        with EventSource(address(server), KEY) as stream:
            stream.next()
            with EventSource(address(server), KEY) as refused:
                assert (refused.response.status, refused.response.getheader("Retry-After")) == (503, "1")
        wait_until(lambda: not store.hub.watchers, what="the gone client is noticed")
        with EventSource(address(server), "/v1/kv/a/") as again:
            assert again.response.status == 200


@pytest.mark.parametrize(
    ("method", "accept", "expected"),
    [
        ("GET", "text/event-stream", "text/event-stream"),
        ("GET", "TEXT/event-stream, */*;q=0.1", "text/event-stream"),
        ("GET", "*/*", "application/json"),
        ("GET", "text/*", "text/event-stream"),
        ("GET", "application/json, text/event-stream", "application/json"),
        ("GET", "text/event-stream;q=0, application/json", "application/json"),
        ("HEAD", "text/event-stream", "application/json"),
    ],
)
@pytest.mark.parametrize("path", [KEY, "/v1/kv/a/"])
def test_who_gets_a_stream(store, method, accept, expected, path):
    put(store, "a/b", b"1")
    store.hub.release()
    response = client(store).open(path, method=method, headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (200, expected)


@pytest.mark.parametrize("query", ["wait=1", "rev=1", "history=1", "limit=1", "values"])
@pytest.mark.parametrize("path", [KEY, "/v1/kv/a/"])
def test_a_stream_has_no_parameters(http, store, path, query):
    response = http.get(f"{path}?{query}", headers={"Accept": "text/event-stream"})
    assert (response.status_code, store.hub.watchers) == (400, 0)


# A prefix


def test_the_state_of_a_prefix_and_then_its_changes(store, watch):
    for key in ("a/b", "a/c", "b"):
        put(store, key, b'{"k":\n1}\n')
    stream = watch("/v1/kv/a/")
    state = stream.take(4)
    assert short(state) == [
        ("reset", None, None),
        ("put", "a/b", {"k": 1}),
        ("put", "a/c", {"k": 1}),
        ("sync", None, None),
    ]
    assert [bool(event.identity) for event in state] == [False, False, False, True]
    assert state[0].json == state[3].json == {"revision": 3}
    etag = put(store, "a/d", b"2")
    assert stream.next().json == {"key": "a/d", "revision": 4, "etag": etag, "value": 2}
    delete(store, "a/b")
    gone = stream.next()
    assert (gone.kind, gone.json) == ("delete", {"key": "a/b", "revision": 5, "etag": "0", "value": None})


@pytest.mark.parametrize("prefix", ["", "a/", "a/b/"])
def test_any_prefix_can_be_watched(store, watch, prefix):
    stream = watch(f"/v1/kv/{prefix}")
    assert [event.kind for event in stream.take(2)] == ["reset", "sync"]
    put(store, "a/b/c", b"1")
    assert short([stream.next()]) == [("put", "a/b/c", 1)]


def test_who_was_away_gets_what_it_missed(store, watch):
    put(store, "a/b", b"1")
    put(store, "a/c", b"1")
    identity = watch("/v1/kv/a/").take(4)[-1].identity
    for number in range(3):
        put(store, "a/b", b"%d" % number)
    delete(store, "a/c")
    put(store, "b", b"1")
    put(store, "a/d", b"1", ttl=60)
    delete(store, "a/d")
    put(store, "a/e", b"5")
    stream = watch("/v1/kv/a/", identity)
    assert short(stream.take(4)) == [
        ("put", "a/b", 2),
        ("delete", "a/c", None),
        ("delete", "a/d", None),
        ("put", "a/e", 5),
    ]
    assert stream.last_event_id != identity


def test_who_missed_nothing_gets_nothing(store, watch):
    put(store, "a/b", b"1")
    identity = watch("/v1/kv/a/").take(3)[-1].identity
    put(store, "b", b"1")
    stream = watch("/v1/kv/a/", identity)
    put(store, "a/c", b"2")
    assert short([stream.next()]) == [("put", "a/c", 2)]


@pytest.mark.parametrize(
    "identity", ["1", "1-00000000", "x-{epoch}", "99-{epoch}", "-1-{epoch}", "1-{epoch}-", "0"]
)
def test_a_foreign_id_is_told_everything(store, watch, identity):
    put(store, "a/b", b"1")
    stream = watch("/v1/kv/a/", identity.format(epoch=store.hub.epoch))
    assert short(stream.take(3)) == [("reset", None, None), ("put", "a/b", 1), ("sync", None, None)]


def test_another_server_has_another_epoch(store):
    with serving_store() as other:
        assert other.hub.epoch != store.hub.epoch


def test_keys_of_one_commit_come_under_one_id(store, watch):
    """Who leaves between two of them, and comes back with the id it has, gets both."""
    stream = watch("/v1/kv/a/")
    before = stream.take(2)[-1].identity
    store.commit((), [Put("a/b", b"1"), Put("a/c", b"2"), Put("a/d", b"3")], Meta())
    events = stream.take(3)
    assert [event.identity == before for event in events] == [True, True, False]
    assert short(watch("/v1/kv/a/", before).take(3)) == short(events)


@pytest.fixture
def forgetful():
    """A store that remembers two changes, a server on it, and what opens a stream from it."""
    with serving_store(hub=Hub(journal=Journal(2))) as store, serving(store) as server:
        yield store, lambda *asked: EventSource(address(server), *asked)


def test_who_was_away_too_long_is_told_everything(forgetful):
    store, watch = forgetful
    with watch("/v1/kv/a/") as stream:
        identity = stream.take(2)[-1].identity
    for key in ("a/b", "a/c", "a/d"):
        put(store, key, b"1")
    with watch("/v1/kv/a/", identity) as stream:
        assert [event.kind for event in stream.take(5)] == ["reset", "put", "put", "put", "sync"]


def test_what_happens_elsewhere_makes_nobody_late(forgetful):
    store, watch = forgetful
    with watch("/v1/kv/a/") as stream:
        stream.take(2)
        for number in range(9):
            put(store, "b", b"%d" % number)
        gevent.idle()
        put(store, "a/b", b"1")
        assert short([stream.next()]) == [("put", "a/b", 1)]


def test_more_than_is_remembered_at_once_is_a_reset(forgetful):
    store, watch = forgetful
    with watch("/v1/kv/a/") as stream:
        stream.take(2)
        store.commit((), [Put(f"a/{number}", b"1") for number in range(4)], Meta())
        assert [event.kind for event in stream.take(6)] == ["reset", "put", "put", "put", "put", "sync"]
        store.commit((), [Put("a/1", b"2"), Delete("a/0")], Meta())
        assert short(stream.take(2)) == [("put", "a/1", 2), ("delete", "a/0", None)]


def test_a_gap_in_the_feed_is_a_reset(store, watch):
    put(store, "a/b", b"1")
    stream = watch("/v1/kv/a/")
    stream.take(3)
    store.engine._feed.put(Reset(1))
    assert short(stream.take(3)) == [("reset", None, None), ("put", "a/b", 1), ("sync", None, None)]


def test_a_large_state_comes_whole_and_leaves_others_their_turn(store, watch):
    store.commit((), [Put(f"a/{number:04}", b'"%b"' % (b"x" * 100)) for number in range(3_000)], Meta())
    turns = []

    def count():
        while True:
            turns.append(1)
            gevent.sleep(0)

    counting = gevent.spawn(count)
    events = watch("/v1/kv/a/").take(3_002)
    counting.kill()
    assert [event.json["key"] for event in events[1:-1]] == [f"a/{number:04}" for number in range(3_000)]
    assert len(turns) > 10


# Slow, deaf and vanished readers

LARGE = b'"%07d' + b"x" * 300_000 + b'"'


@pytest.mark.parametrize("path", [KEY, "/v1/kv/a/"])
def test_a_slow_reader_gets_the_newest_and_no_backlog(store, watch, path):
    put(store, "a/b", LARGE % 0)
    stream = watch(path)
    for number in range(1, 100):
        put(store, "a/b", LARGE % number)
        gevent.sleep(0)
    seen = []
    while not seen or seen[-1] != "0000099":
        event = stream.next()
        if event.kind == "put":
            seen.append(json.dumps(event.json)[-300_008:][:7] if path == KEY else event.json["value"][:7])
    assert seen == sorted(seen)
    assert len(seen) < 50


def test_who_takes_nothing_is_sent_away(store):
    bounds = Bounds(send=0.3, linger=0.1)
    with serving(store, bounds, pace=BRISK) as server, socket.create_connection(address(server)) as deaf:
        deaf.sendall(
            b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n" % KEY.encode()
        )
        wait_until(lambda: store.hub.watchers)
        number = 0
        while store.hub.watchers:
            number += 1
            put(store, "a/b", LARGE % number)
            gevent.sleep(0.005)
            assert number < 2_000
        wait_until(lambda: not server.serving)


def test_a_client_that_leaves_is_noticed(store):
    with serving(store, pace=BRISK) as server:
        streams = [EventSource(address(server), KEY, "0") for _ in range(20)]
        assert store.hub.watchers == 20
        for stream in streams:
            stream.close()
        wait_until(lambda: not store.hub.watchers and not server.serving)


UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


@pytest.mark.end_to_end
@pytest.mark.skipif(
    not shutil.which("unshare") or not shutil.which("ip") or subprocess.call([*UNSHARE, "true"]) != 0,
    reason="a network of its own cannot be made here",
)
def test_a_client_that_vanishes_without_a_word_is_noticed():
    command = [*UNSHARE, sys.executable, "-m", "tests.kv.vanishing"]
    subprocess.run(command, cwd=ROOT, timeout=30, check=True)


def test_a_store_that_does_not_answer_ends_its_streams(store, watch, caplog):
    def away(*asked):
        raise Unavailable("away")

    stream = watch("/v1/kv/a/")
    stream.take(2)
    store.engine.scan = away
    store.hub.journal.begin(9)
    put(store, "a/b", b"1")
    assert stream.ends()
    assert "away" in caplog.text


def test_a_fault_of_ours_cuts_streams_off(store, watch):
    def broken(key):
        raise RuntimeError("no")

    stream = watch(KEY)
    stream.next()
    store.engine.peek = broken
    put(store, "a/b", b"1")
    with pytest.raises(ConnectionResetError):
        stream.next()
    wait_until(lambda: not store.hub.watchers)
