"""The part of the pilot's API that is about the config document, over a config server of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from app.config.keys import KeyClient, Write
from app.pilot.api import Api
from app.pilot.pilot import Pilot
from app.pilot.webhooks import Webhooks

KEY = "shop/config"
FIRST = {"ratio": 0.1, "salt": "secret", "stable": {"servers": [{"url": "http://127.0.0.1:9001"}]}}


@pytest.fixture
def client(keys: KeyClient) -> Iterator[Client]:
    keys.put(KEY, json.dumps(FIRST).encode(), Write(author="ada", note="first"))
    pilot = Pilot(keys, KEY, Webhooks(None))
    yield Client(Api(pilot))
    pilot.stop()


def ratio(keys: KeyClient) -> float:
    return json.loads(keys.get(KEY).raw)["ratio"]


def test_a_few_members_are_changed_and_all_others_stay(client, keys):
    who = {"X-Author": "Zoë".encode().decode("latin-1")}
    answer = client.patch("/config?wait=1ms", data='{"ratio": 0.3}', headers=who)
    assert answer.status_code == 202
    assert answer.json["detail"].startswith("applied by nobody")
    assert json.loads(keys.get(KEY).raw) == FIRST | {"ratio": 0.3}
    assert keys.history(KEY, 1)[0]["author"] == "Zoë"


@pytest.mark.parametrize(
    ("body", "status"), [("{", 400), ("[]", 400), ('{"ratio": 7}', 422), ('{"nonsense": 1}', 422)]
)
def test_a_wrong_patch_changes_nothing(client, keys, body, status):
    assert client.patch("/config", data=body).status_code == status
    assert ratio(keys) == 0.1


@pytest.mark.parametrize("path", ["/config", "/config?from=1"])
def test_who_saw_another_document_is_told_of_the_one_in_force(client, keys, path):
    seen = keys.get(KEY).etag
    client.patch("/config", data='{"ratio": 0.2}')
    ask = client.put if "from" in path else client.patch
    lost = ask(path, data='{"ratio": 0.3}', headers={"If-Match": f'"{seen}"'})
    assert (lost.status_code, lost.json["etag"]) == (409, keys.get(KEY).etag)
    assert ratio(keys) == 0.2


def test_a_version_comes_back(client, keys):
    revision = keys.get(KEY).revision
    client.patch("/config", data='{"ratio": 0.2}')
    assert client.put(f"/config?from={revision}").json["changed"]
    assert json.loads(keys.get(KEY).raw) == FIRST
    assert keys.history(KEY, 1)[0]["note"] == f"back to revision {revision}"
    assert client.put("/config?from=nowhere").status_code == 400
    assert client.put("/config?from=999999").status_code == 404


def test_the_history_tells_who_changed_what_without_secrets(client, keys):
    client.patch("/config", data='{"ratio": 0.2, "retry": {"attempts": 5}}', headers={"X-Note": "more"})
    keys.put(KEY, b"[]", Write())
    wrong, changed, first = client.get("/config/history").json["versions"]
    assert (wrong["changes"], first["changes"]) == (None, None)
    assert (first["author"], changed["note"]) == ("ada", "more")
    assert {"pointer": "/ratio", "before": 0.1, "after": 0.2} in changed["changes"]
    assert "/retry/attempts" in [each["pointer"] for each in changed["changes"]]
    assert len(client.get("/config/history?count=1").json["versions"]) == 1
    assert client.get("/config/history?count=0").status_code == 400
    assert b"secret" not in client.get("/config/history").data
