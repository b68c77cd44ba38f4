from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from requests import Session
from requests.adapters import HTTPAdapter

from app.config.editor import Editor
from app.config.keys import KeyClient, Write
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError, InvalidConfig
from tests.support.keys import CONFIG, config_server, connected, put
from tests.support.processes import free_port

KEY = "canary/config"


@pytest.fixture
def url() -> Iterator[str]:
    with config_server() as found:
        yield found


@pytest.fixture
def keys(url: str) -> Iterator[KeyClient]:
    with connected(url) as client:
        yield client


def test_writes_and_reads(keys: KeyClient) -> None:
    written = keys.put("a/b", b'{"c": 1}', Write())
    stored = keys.get("a/b")
    assert (stored.raw, stored.etag, stored.revision) == (b'{"c": 1}', written.etag, written.revision)
    assert written.changed
    assert not keys.put("a/b", b'{"c": 1}', Write()).changed


def test_nothing_is_missing(keys: KeyClient) -> None:
    for ask in (lambda: keys.get("a"), lambda: keys.delete("a"), lambda: keys.get("a", 7)):
        with pytest.raises(ConfigMissing):
            ask()


def test_replaces_only_what_it_is_told_to(keys: KeyClient) -> None:
    first = put(keys, "a", 1, etag="0")
    second = put(keys, "a", 2, etag=first)
    for etag in ("0", first):
        with pytest.raises(ConfigConflict) as conflict:
            put(keys, "a", 3, etag=etag)
        assert conflict.value.etag == second


def test_its_own_write_is_no_conflict(keys: KeyClient) -> None:
    """As when the answer to the first try got lost."""
    first = put(keys, "a", 1, etag="0")
    assert put(keys, "a", 1, etag="0") == first


def test_keeps_who_wrote_and_why(keys: KeyClient) -> None:
    put(keys, "a", 1, author="Zoë\r\nX-Evil: 1", note="because " + "ü" * 1000)
    (version,) = keys.history("a", 5)
    assert version["author"] == "Zoë X-Evil: 1"
    assert version["note"].startswith("because ü")


def test_goes_back(keys: KeyClient) -> None:
    first = keys.put("a", b"1", Write())
    second = put(keys, "a", 2)
    keys.restore("a", first.revision, Write(second))
    assert keys.get("a").raw == b"1"
    assert keys.get("a", first.revision).raw == b"1"
    with pytest.raises(ConfigConflict):
        keys.restore("a", first.revision, Write(second))


def test_deletes_only_what_it_is_told_to(keys: KeyClient) -> None:
    etag = put(keys, "a", 1)
    with pytest.raises(ConfigConflict):
        keys.delete("a", "7-0123456789ab")
    keys.delete("a", etag)
    with pytest.raises(ConfigMissing):
        keys.get("a")


def test_lists_page_by_page(keys: KeyClient) -> None:
    big = "x" * 500_000
    for number in range(20):
        put(keys, f"a/{number:02}", [number, big])
    listing = keys.scan("a/")
    assert listing
    assert [entry.value[0] for entry in listing.entries] == list(range(20))


def test_waits_for_another_list(keys: KeyClient, url: str) -> None:
    put(keys, "a/b", 1)
    known = keys.scan("a/")
    assert known
    assert keys.scan("a/", known.etag, wait=0.01) is None
    waiting = gevent.spawn(keys.scan, "a/", known.etag, 10.0)
    gevent.sleep(0.05)
    put(keys, "a/c", 2)
    assert [entry.key for entry in waiting.get(timeout=5).entries] == ["a/b", "a/c"]


def test_a_server_that_is_away_is_told_in_a_sentence() -> None:
    with (
        connected(f"http://127.0.0.1:{free_port()}") as keys,
        pytest.raises(ConfigServerError, match="cannot be reached"),
    ):
        keys.get("a")


def test_a_refusal_is_told(keys: KeyClient) -> None:
    with pytest.raises(ConfigServerError, match="answered 400"):
        keys.put("a", b"not JSON", Write())


class Dropping(HTTPAdapter):
    """The first write reaches the server, its answer gets lost."""

    def __init__(self, losses: list[str]) -> None:
        super().__init__()
        self._losses = losses

    def send(self, request, **options):  # type: ignore[no-untyped-def,override]
        response = super().send(request, **options)
        if request.method == "PUT" and self._losses:
            self._losses.pop()
            response.close()
            raise ConnectionResetError("lost")
        return response


def dropping(losses: list[str]) -> Session:
    session = Session()
    session.mount("http://", Dropping(losses))
    return session


def test_a_write_whose_answer_got_lost_is_made_once(url: str) -> None:
    losses = ["first"]
    keys = KeyClient(f"{url},{url}", new_session=lambda: dropping(losses))
    keys.put("a", b"1", Write("0"))
    assert not losses
    assert len(keys.history("a", 5)) == 1
    keys.close()


@pytest.fixture
def editor(keys: KeyClient) -> Editor:
    put(keys, KEY, CONFIG)
    return Editor(keys, KEY)


def test_changes_one_field(editor: Editor) -> None:
    change = editor.change(lambda document: document.update(ratio=0.5), "me", "why")
    assert (change.before["ratio"], change.after["ratio"]) == (0.1, 0.5)
    stored, document = editor.read()
    assert (stored.etag, document) == (change.written.etag, CONFIG | {"ratio": 0.5})


def test_what_would_not_be_valid_is_not_written(editor: Editor) -> None:
    before = editor.read()
    with pytest.raises(InvalidConfig) as invalid:
        editor.change(lambda document: document.update(ratio=7), "", "")
    assert "ratio" in invalid.value.faults
    with pytest.raises(InvalidConfig):
        editor.replace(b"{}", Write())
    assert editor.read() == before


def test_a_change_beside_another_loses_neither(editor: Editor, keys: KeyClient) -> None:
    interruptions = [3, 2, 1]

    def edit(document: dict) -> None:
        if interruptions:
            put(keys, KEY, CONFIG | {"salt": str(interruptions.pop())})
        document["ratio"] = 0.5

    editor.change(edit, "", "")
    assert editor.read()[1] == CONFIG | {"salt": "3", "ratio": 0.5}


def test_a_change_gives_up_when_always_late(editor: Editor, keys: KeyClient) -> None:
    rounds = iter(range(100))

    def edit(document: dict) -> None:
        put(keys, KEY, CONFIG | {"salt": str(next(rounds))})
        document["ratio"] = 0.5

    with pytest.raises(ConfigConflict):
        editor.change(edit, "", "")


def test_goes_back_only_to_what_is_valid(editor: Editor, keys: KeyClient) -> None:
    first = keys.get(KEY).revision
    put(keys, KEY, {"ratio": 7})
    bad = keys.get(KEY).revision
    assert editor.restore(first, "", "").after == CONFIG
    with pytest.raises(InvalidConfig):
        editor.restore(bad, "", "")


def test_what_is_no_object_is_no_document(keys: KeyClient) -> None:
    put(keys, KEY, [1])
    with pytest.raises(InvalidConfig, match="not an object"):
        Editor(keys, KEY).read()
