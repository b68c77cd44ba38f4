from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer

from app.config.client import ConfigClient
from app.config.document import ABSENT, Document
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError
from tests.config.instance import KEY, LIMIT
from tests.support.config_server import FakeConfigServer, document
from tests.support.processes import free_port, wait_until

Connect = Callable[..., ConfigClient]


@pytest.fixture
def client() -> Iterator[Connect]:
    made: list[ConfigClient] = []

    def connect(urls: str, **options: Any) -> ConfigClient:
        made.append(ConfigClient(urls, KEY, limit=LIMIT, **options))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def test_reads_the_document_and_then_only_what_is_new(client: Connect, server: FakeConfigServer) -> None:
    first = client(server.url).read()
    assert first == Document(document(), server.etag, 1, server.url)
    assert client(server.url).read(server.etag) is None
    server.put(document(ratio=0.5))
    assert client(server.url).read(first.etag) == Document(document(ratio=0.5), server.etag, 2, server.url)


def test_a_key_without_document_is_not_a_failure_of_the_server(
    client: Connect, empty_server: FakeConfigServer
) -> None:
    with pytest.raises(ConfigMissing):
        client(empty_server.url).read()


def test_creates_once(client: Connect, empty_server: FakeConfigServer) -> None:
    made = client(empty_server.url).create(document())
    assert (made.etag, empty_server.raw) == (empty_server.etag, document())
    with pytest.raises(ConfigConflict) as conflict:
        client(empty_server.url).create(document(ratio=1))
    assert conflict.value.etag == made.etag
    assert empty_server.raw == document()


def test_replaces_only_the_document_it_knows(client: Connect, server: FakeConfigServer) -> None:
    etag = server.etag
    assert client(server.url).replace(document(ratio=1), etag).revision == 2
    with pytest.raises(ConfigConflict):
        client(server.url).replace(document(ratio=0), etag)
    assert server.raw == document(ratio=1)


@pytest.mark.parametrize("raw", [document(ratio=1), None], ids=["changed", "deleted"])
def test_a_watch_is_told_of_a_change_at_once(
    client: Connect, server: FakeConfigServer, raw: bytes | None
) -> None:
    watch = gevent.spawn(_watched, client(server.url), server.etag)
    wait_until(lambda: server.requests)
    server.put(raw)
    assert watch.get(timeout=5) == raw


def test_a_watch_awaits_the_creation(client: Connect, empty_server: FakeConfigServer) -> None:
    watch = gevent.spawn(_watched, client(empty_server.url), ABSENT)
    wait_until(lambda: empty_server.requests)
    empty_server.put(document())
    assert watch.get(timeout=5) == document()


def test_a_watch_ends_without_news(client: Connect, server: FakeConfigServer) -> None:
    assert client(server.url).watch(server.etag, wait=0.01) is None


def test_one_stream_serves_all_watches(client: Connect, server: FakeConfigServer) -> None:
    watching, etag = client(server.url), server.etag
    for ratio in (0.1, 0.2, 0.3):
        server.put(document(ratio=ratio))
        found = watching.watch(etag, wait=5)
        assert found == Document(document(ratio=ratio), server.etag, server.revision, server.url)
        etag = found.etag
    assert server.requests == [("GET", {"watch": "1-" + server_hash()})]


def server_hash() -> str:
    return hashlib.sha256(document()).hexdigest()[:12]


def test_a_watch_for_another_etag_than_it_told_begins_anew(client: Connect, server: FakeConfigServer) -> None:
    watching, first = client(server.url), server.etag
    server.put(document(ratio=0.5))
    for _ in range(2):
        assert watching.watch(first, wait=5).etag == server.etag
    assert len(server.requests) == 2


def test_a_deletion_does_not_end_the_stream(client: Connect, server: FakeConfigServer) -> None:
    watching, etag = client(server.url), server.etag
    server.put(None)
    with pytest.raises(ConfigMissing):
        watching.watch(etag, wait=5)
    server.put(document(ratio=0.5))
    assert watching.watch(ABSENT, wait=5).raw == document(ratio=0.5)
    assert len(server.requests) == 1


STREAMS = {
    "another type": ("text/html", b"data: {}\n\n", "answered 200"),
    "ended": ("text/event-stream", b"", "has ended the stream of changes"),
    "no ETag": ("text/event-stream", b"id: 12\ndata: {}\n\n", "sends events without an ETag for an id"),
    "no UTF-8": ("text/event-stream", b"id: \xff\ndata: {}\n\n", "sends events that cannot be read"),
    "too much": ("text/event-stream", b"data: " + b" " * 2**21, "sends more than 1,048,576 bytes"),
}


@pytest.mark.parametrize(("kind", "data", "sentence"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_that_is_none_of_a_config_server_is_told_in_a_sentence(
    client: Connect, kind: str, data: bytes, sentence: str
) -> None:
    def serve(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", kind)])
        return [data, b""]

    stranger = WSGIServer(("127.0.0.1", 0), serve, log=None)
    stranger.start()
    with pytest.raises(ConfigServerError, match=sentence):
        client(f"http://127.0.0.1:{stranger.server_port}").watch(None, wait=5)
    stranger.stop()


def test_a_silent_stream_is_given_up(client: Connect) -> None:
    def serve(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"retry: 1000\n\n"
        gevent.sleep(60)

    mute = WSGIServer(("127.0.0.1", 0), serve, log=None)
    mute.start()
    with pytest.raises(ConfigServerError, match=r"gave no sign of life for 0\.1 s"):
        client(f"http://127.0.0.1:{mute.server_port}", silence=0.1).watch(None, wait=60)
    mute.stop()


@pytest.mark.parametrize(
    ("mood", "sentence"),
    [
        ("fail", "answered 500: 'broken'"),
        ("redirect", "answered 302"),
        ("stranger", "answered 404 without a strong ETag"),
        ("hang", "did not answer within 0.5 s"),
        ("trickle", "did not answer within 0.5 s"),
        ("oversized", "sends more than 1,048,576 bytes"),
    ],
)
def test_a_misbehaving_server_is_told_in_a_sentence(
    client: Connect, server: FakeConfigServer, mood: str, sentence: str
) -> None:
    server.mood = mood
    with pytest.raises(ConfigServerError) as fault:
        client(server.url).read()
    assert str(fault.value).startswith(f"{server.url} {sentence}")
    server.mood = "well"
    assert client(server.url).read()


def test_a_server_that_is_away_is_told_in_a_sentence(client: Connect) -> None:
    with pytest.raises(ConfigServerError, match="cannot be reached"):
        client(f"http://127.0.0.1:{free_port()}").read()


def test_an_answer_that_is_no_http_is_told_in_a_sentence(client: Connect) -> None:
    babbler = StreamServer(("127.0.0.1", 0), lambda socket, _: socket.sendall(b"\x00\x01 what?\r\n\r\n"))
    babbler.start()
    with pytest.raises(ConfigServerError, match="cannot be reached"):
        client(f"http://127.0.0.1:{babbler.server_port}").read()
    babbler.stop()


def test_the_next_address_steps_in_and_stays(client: Connect, server: FakeConfigServer) -> None:
    with FakeConfigServer(document()) as other:
        both = client(f"{server.url}, {other.url}/")
        server.mood = "fail"
        assert both.read().url == other.url
        server.mood = "well"
        assert both.read().url == other.url
        other.mood = "hang"
        assert both.read().url == server.url


def test_a_missing_document_is_an_answer_and_no_reason_to_ask_elsewhere(
    client: Connect, server: FakeConfigServer, empty_server: FakeConfigServer
) -> None:
    with pytest.raises(ConfigMissing):
        client(f"{empty_server.url},{server.url}").read()
    assert server.requests == []


def test_sends_the_token_and_nothing_of_the_environment(
    client: Connect, server: FakeConfigServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert client(server.url, token="secret").read()
    assert server.last_headers["HTTP_AUTHORIZATION"] == "Bearer secret"
    assert server.last_headers["PATH_INFO"] == "/v1/kv/canary/config"


@pytest.mark.parametrize("urls", ["", "ftp://a", "http://a,", "http://u:p@a", "http://a/path"])
def test_refuses_what_is_no_address(urls: str) -> None:
    with pytest.raises(ValueError, match=r"^it|^the scheme|^a user"):
        ConfigClient(urls, KEY)


def _watched(watcher: ConfigClient, etag: str) -> bytes | None:
    try:
        found = watcher.watch(etag, wait=5)
    except ConfigMissing:
        return None
    assert found
    return found.raw


def test_close_ends_a_watch_under_way(client: Connect, server: FakeConfigServer) -> None:
    asking = client(server.url)
    watch = gevent.spawn(_watched, asking, server.etag)
    wait_until(lambda: server.requests)
    asking.close()
    with pytest.raises(ConfigServerError, match="cannot be reached, or broke off"):
        watch.get(timeout=5)
    with pytest.raises(ConfigServerError, match="not asked any more"):
        asking.read()
