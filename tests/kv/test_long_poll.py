"""`?wait=`: held while nothing differs, answered as soon as something does."""

from __future__ import annotations

import gevent
import pytest

from kv.watch import Hub
from tests.support.kv_helpers import client, etag, held, problem, serving_store

KEY = "/v1/kv/a/b"


@pytest.fixture
def wait(store, http):
    """A context manager: inside it a read of `path` is held, its ETag being `known`."""

    def wait(path, known, seconds=30):
        return held(
            lambda: store.hub.watchers,
            lambda: http.get(f"{path}?wait={seconds}", headers={"If-None-Match": known}),
        )

    return wait


def test_wakes_on_a_change(http, wait):
    known = etag(http.put(KEY, data=b"1"))
    with wait(KEY, known) as reader:
        http.put(KEY, data=b"2")
        response = reader.get(timeout=5)
    assert (response.status_code, response.data) == (200, b"2")


def test_wakes_on_creation(http, wait):
    with wait(KEY, '"0"') as reader:
        http.put(KEY, data=b"1")
        assert reader.get(timeout=5).data == b"1"


@pytest.mark.parametrize("known", ["etag", "*"])
def test_wakes_on_deletion(http, wait, known):
    first = etag(http.put(KEY, data=b"1"))
    with wait(KEY, first if known == "etag" else "*") as reader:
        http.delete(KEY)
        response = reader.get(timeout=5)
    assert (response.status_code, etag(response)) == (404, '"0"')


@pytest.mark.parametrize("path", ["/v1/kv/a/", "/v1/kv/"])
def test_a_prefix_can_be_watched(http, wait, path):
    http.put(KEY, data=b"1")
    with wait(path, etag(http.get(path))) as reader:
        http.put("/v1/kv/a/c", data=b"2")
        assert [item["key"] for item in reader.get(timeout=5).json["items"]] == ["a/b", "a/c"]


def test_what_does_not_matter_does_not_wake(http, wait):
    known = etag(http.put(KEY, data=b"1"))
    with wait(KEY, known) as key, wait("/v1/kv/a/", etag(http.get("/v1/kv/a/"))) as prefix:
        http.put("/v1/kv/b", data=b"1")
        http.put(KEY, data=b"1")
        gevent.idle()
        assert not key.ready()
        assert not prefix.ready()


@pytest.mark.parametrize(("path", "known"), [(KEY, '"1-6b86b273ff34"'), ("/v1/kv/new", '"0"')])
def test_304_when_the_time_is_up(http, path, known):
    http.put(KEY, data=b"1")
    response = http.get(f"{path}?wait=0.01", headers={"If-None-Match": known})
    assert (response.status_code, etag(response)) == (304, known)


def test_a_prefix_is_304_when_the_time_is_up(http):
    known = etag(http.get("/v1/kv/a/"))
    assert http.get("/v1/kv/a/?wait=0.01", headers={"If-None-Match": known}).status_code == 304


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": '"old"'}])
def test_what_differs_already_is_not_waited_for(http, store, headers):
    http.put(KEY, data=b"1")
    assert http.get(f"{KEY}?wait=60", headers=headers).data == b"1"


def test_no_wake_up_is_lost(make_engine):
    """A reader that follows several writers by ETag alone always ends at the newest version."""
    with serving_store(make_engine()) as store:
        http, last = client(store), 150
        for n in range(3):
            http.put(f"/v1/kv/x{n}", data=b"-1")

        def follow(key):
            known, seen = "", b""
            while seen != b"%d" % last:
                response = http.get(f"/v1/kv/{key}?wait=5", headers={"If-None-Match": known} if known else {})
                assert response.status_code == 200, "slept through a change"
                known, seen = etag(response), response.data

        def write(key):
            for number in range(last + 1):
                http.put(f"/v1/kv/{key}", data=b"%d" % number)
                gevent.sleep(0)

        keys = ["x0", "x1", "x2"]
        tasks = [gevent.spawn(follow, key) for key in keys * 4] + [gevent.spawn(write, key) for key in keys]
        gevent.joinall(tasks, timeout=20, raise_error=True)
        assert all(task.ready() for task in tasks)


def test_an_answered_write_is_seen_by_every_watcher_before(http, store, wait):
    known = etag(http.put(KEY, data=b"1"))
    with wait(KEY, known) as reader:
        http.put(KEY, data=b"2")
        assert store.hub.revision == 2
        assert reader.get(timeout=5).data == b"2"


def test_too_many_watchers():
    with serving_store(hub=Hub(limit=1)) as store:
        http = client(store)
        ask = {"path": f"{KEY}?wait=30", "headers": {"If-None-Match": '"0"'}}
        with held(lambda: store.hub.watchers, lambda: http.get(**ask)):
            response = http.get(**ask)
            assert (problem(response)["status"], response.headers["Retry-After"]) == (503, "1")
        assert store.hub.watchers == 0


@pytest.mark.parametrize("path", [KEY, "/v1/kv/a/"])
def test_who_does_not_wait_is_no_watcher(path):
    with serving_store(hub=Hub(limit=0)) as store:
        http = client(store)
        http.put(KEY, data=b"1")
        assert http.get(path, headers={"If-None-Match": etag(http.get(path))}).status_code == 304


def test_the_end_answers_who_waits(http, store, wait):
    with wait(KEY, '"0"') as reader:
        store.stop()
        assert reader.get(timeout=5).status_code == 304
    assert http.get(f"{KEY}?wait=60", headers={"If-None-Match": '"0"'}).status_code == 304
