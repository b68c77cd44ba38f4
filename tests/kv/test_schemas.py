"""Schemas over HTTP, and inside the commit: no write slips past the one in force."""

from __future__ import annotations

import json
import random

import gevent
import pytest

from kv.engine.sqlite import SqliteEngine
from kv.errors import InvalidDocument
from kv.model import SCHEMAS, Meta, Put, covers
from kv.schema import rules
from kv.schema.examiner import Examiner
from kv.schema.registry import Schemas
from tests.support.kv_helpers import client, etag, problem, put, serving_store

DOCUMENT, SCHEMA = "/v1/kv/canary/config", "/v1/schema/canary/config"
RATIO = {"properties": {"ratio": {"type": "number", "maximum": 1}}}
LARGE = b'{"text": "' + b"x" * rules.INLINE_BYTES + b'"}'


def status(http, method, path, document=None, **options):
    data = None if document is None else json.dumps(document)
    return http.open(path, method=method, data=data, **options).status_code


@pytest.fixture
def governed(http):
    """A document and its schema, in force."""
    assert status(http, "PUT", DOCUMENT, {"ratio": 0.5}) == 201
    assert status(http, "PUT", SCHEMA, RATIO) == 201
    return http


def test_put_read_and_delete(governed):
    stored = governed.get(SCHEMA)
    assert (stored.json, stored.headers["X-Revision"], stored.content_type) == (
        RATIO,
        "2",
        "application/json",
    )
    assert governed.get(SCHEMA, headers={"If-None-Match": etag(stored)}).status_code == 304
    written = governed.put(SCHEMA, data=b"{}", headers={"If-Match": etag(stored)})
    assert (written.status_code, written.json["key"], written.json["version"]) == (200, "canary/config", 2)
    refused = governed.put(SCHEMA, data=b"true", headers={"If-Match": etag(stored)})
    assert (refused.status_code, problem(refused)["key"], etag(refused)) == (
        412,
        "canary/config",
        etag(written),
    )
    assert governed.delete(SCHEMA).status_code == 200
    missing = governed.get(SCHEMA)
    assert (missing.status_code, etag(missing), problem(missing)["key"]) == (404, '"0"', "canary/config")
    assert governed.delete(SCHEMA).status_code == 404


def test_the_same_schema_again_changes_nothing(governed):
    assert governed.put(SCHEMA, data=json.dumps(RATIO)).json["changed"] is False


def test_a_list_of_all(http):
    for scope in ("canary/", "", "canary/config"):
        http.put(f"/v1/schema/{scope}", data=b"{}")
    http.delete("/v1/schema/canary/")
    listed = http.get("/v1/schemas")
    assert [item["key"] for item in listed.json["items"]] == ["", "canary/config"]
    assert http.get("/v1/schemas", headers={"If-None-Match": etag(listed)}).status_code == 304


@pytest.mark.parametrize("scope", ["a//b", "../x", "a/./", "é", "x" * 257, "%C2%A7schema/a"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_scopes_are_keys_or_prefixes(http, method, scope):
    response = http.open(f"/v1/schema/{scope}", method=method, data=b"{}" if method == "PUT" else None)
    assert (response.status_code, problem(response)["type"]) == (400, "/problems/bad-key")


def test_what_is_no_schema_is_refused_with_where(http):
    response = http.put(SCHEMA, data=b'{"properties": {"a": {"type": "strng"}}}')
    assert response.status_code == 422
    assert problem(response)["errors"][0]["pointer"] == "/properties/a/type"
    assert problem(http.put(SCHEMA, data=b'{"type": NaN}'))["status"] == 400
    assert http.put(SCHEMA, data=b'"' + b"x" * 140_000 + b'"').status_code == 413
    assert http.put(SCHEMA).status_code in (400, 411)
    assert http.get(SCHEMA).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", DOCUMENT, {"ratio": 7}),
        ("POST", DOCUMENT, {"ratio": 7}),
        ("PATCH", DOCUMENT, {"ratio": 7}),
        ("PUT", f"{DOCUMENT}?from=1", None),
        ("JSON PATCH", DOCUMENT, [{"op": "replace", "path": "/ratio", "value": 7}]),
        (
            "POST",
            "/v1/txn",
            {"do": [{"put": "other", "value": 1}, {"put": "canary/config", "value": {"ratio": 7}}]},
        ),
        ("POST", "/v1/txn", {"do": [{"merge": "canary/config", "value": {"ratio": 7}}]}),
    ],
)
def test_no_way_to_write_past_it(http, method, path, body):
    http.put(DOCUMENT, data=b'{"ratio": 7}')
    http.put(DOCUMENT, data=b'{"ratio": 0.5}')
    http.put(SCHEMA, data=json.dumps(RATIO))
    content_type = "application/json-patch+json" if method.startswith("JSON") else "application/json"
    data = None if body is None else json.dumps(body)
    response = http.open(path, method=method.split()[-1], data=data, content_type=content_type)
    assert response.status_code == 422
    told = problem(response)
    assert told.items() >= {"key": "canary/config", "schema": "canary/config"}.items()
    assert told["errors"] == [{"pointer": "/ratio", "detail": "must be at most 1"}]
    assert "/ratio must be at most 1" in told["detail"]
    assert (http.get(DOCUMENT).json, http.get("/v1/kv/other").status_code) == ({"ratio": 0.5}, 404)


def test_a_key_with_a_ttl_has_to_satisfy_it_too(governed):
    governed.put("/v1/schema/lease/", data=b'{"type": "string"}')
    assert status(governed, "PUT", "/v1/kv/lease/a?ttl=9", 1) == 422
    assert status(governed, "PUT", "/v1/kv/lease/a?ttl=9", "me") == 201


def test_valid_writes_and_deletions_go_on(governed):
    assert status(governed, "PATCH", DOCUMENT, {"ratio": 1}) == 200
    assert status(governed, "DELETE", DOCUMENT) == 200
    assert status(governed, "PUT", DOCUMENT, {"ratio": 7}) == 422
    assert status(governed, "PUT", DOCUMENT, {}) == 201


def test_without_it_anything_goes_again(governed):
    governed.delete(SCHEMA)
    assert status(governed, "PUT", DOCUMENT, {"ratio": 7}) == 200


def test_the_longest_scope_counts_alone(http):
    scopes = {"": "null", "a/": "string", "a/b/": "number", "a/b/c": "boolean"}
    for scope, kind in scopes.items():
        http.put(f"/v1/schema/{scope}", data=json.dumps({"type": kind}))
    kinds = {
        "x": None,
        "a": None,
        "ab/c": None,
        "a/x": "",
        "a/b": "",
        "a/bc/d": "",
        "a/b/x": 1,
        "a/b/c": True,
    }
    for key, fitting in kinds.items():
        path, values = f"/v1/kv/{key}", (None, "", 1, True)
        accepted = [value for value in values if http.put(path, data=json.dumps(value)).status_code < 300]
        assert accepted == [fitting], key
    http.delete("/v1/schema/a/b/c")
    assert status(http, "PUT", "/v1/kv/a/b/c", 1) == 200


def test_documents_of_before_stay_until_they_are_written(http):
    http.put(DOCUMENT, data=b'{"ratio": 7}')
    http.put(SCHEMA, data=json.dumps(RATIO))
    assert http.get(DOCUMENT).json == {"ratio": 7}
    assert status(http, "PATCH", DOCUMENT, {"style": "ratio"}) == 422
    assert status(http, "PATCH", DOCUMENT, {"ratio": 0}) == 200


def test_schemas_are_out_of_the_way_of_documents(governed):
    listed = governed.get("/v1/kv/")
    assert ([item["key"] for item in listed.json["items"]], listed.json["revision"]) == (["canary/config"], 1)
    assert governed.get("/v1/kv/%C2%A7schema/canary/config").status_code == 400
    governed.put("/v1/schema/", data=b'{"type": "object"}')
    assert governed.get("/v1/kv/", headers={"If-None-Match": etag(listed)}).status_code == 304
    assert governed.put(SCHEMA, data=b"true").status_code == 200  # the schema of all keys governs no schemas


def test_a_watcher_of_everything_sleeps_on(store, http):
    with store.hub.watch("") as watcher:
        http.put(SCHEMA, data=b"{}")
        assert not watcher.wait(0)
        http.put(DOCUMENT, data=b"{}")
        assert watcher.wait(0)
        assert list(store.hub.journal.after(0, "")) == ["canary/config"]


def test_a_large_document_is_examined_elsewhere(governed):
    assert governed.put(DOCUMENT, data=LARGE).status_code == 200
    response = governed.put(DOCUMENT, data=LARGE[:-1] + b', "ratio": 7}')
    assert problem(response)["errors"] == [{"pointer": "/ratio", "detail": "must be at most 1"}]
    many = [{"put": f"canary/{number}", "value": json.loads(LARGE) | {"n": number}} for number in range(20)]
    governed.put("/v1/schema/canary/", data=json.dumps(RATIO))
    assert status(governed, "POST", "/v1/txn", {"do": many}) == 200


def test_endless_work_refuses_the_document(governed):
    governed.put("/v1/schema/loop", data=b'{"$ref": "#"}')
    response = governed.put("/v1/kv/loop", data=b"1")
    assert (response.status_code, "more work" in problem(response)["detail"]) == (422, True)


def test_schemas_last(tmp_path):
    with serving_store(SqliteEngine(tmp_path / "kv.db")) as store:
        client(store).put(SCHEMA, data=json.dumps(RATIO))
    with serving_store(SqliteEngine(tmp_path / "kv.db")) as store:
        assert status(client(store), "PUT", DOCUMENT, {"ratio": 7}) == 422


@pytest.mark.parametrize(
    ("scope", "name", "covered"),
    [
        ("", "", True),
        ("", "a/b", True),
        ("a/", "a/b", True),
        ("a/", "a/", True),
        ("a/", "ab", False),
        ("a/", "", False),
        ("a", "a", True),
        ("a", "a/b", False),
        ("a", "ab", False),
    ],
)
def test_scopes(scope, name, covered):
    assert covers(scope, name) is covered


# A write and a change of the schema at once: their commits have an order, and the schema in force at that moment of
# it decides, whatever was in force when the write was sent or examined.


def governs(engine, scope, schema):
    return put(engine, SCHEMAS + scope, json.dumps(schema).encode())


def test_commits_at_once_are_judged_in_their_order(engine):
    chance = random.Random(5)
    for number in range(50):
        key = f"k{number}"
        calls = [
            lambda key=key: governs(engine, key, {"type": "number"}).revision,
            lambda key=key: put(engine, key, b'"a text"').revision,
        ]
        chance.shuffle(calls)
        outcomes = [gevent.spawn(outcome, call) for call in calls]
        gevent.joinall(outcomes, timeout=10)
        schema = engine.get(SCHEMAS + key).version.revision
        written = engine.get(key)
        assert written is None or written.version.revision < schema
        assert (written is None) == any(isinstance(each.value, InvalidDocument) for each in outcomes)


def outcome(call):
    try:
        return call()
    except InvalidDocument as error:
        return error


def test_a_schema_that_changes_during_the_examination_decides():
    """Between the examination and the second try there is another schema: that one counts."""

    class Slow(Examiner):
        def _examine(self, schema, value):
            super()._examine(schema, value)
            if changes:
                store.engine.commit((), [Put(SCHEMAS + "k", changes.pop())], Meta())

    changes = [b'{"required": ["ratio"]}', b'{"required": ["style"]}']
    with serving_store(examiner=Slow()) as store:
        Schemas(store).put("k", b"{}", (), Meta())
        with pytest.raises(InvalidDocument) as caught:
            store.put("k", LARGE, (), Meta())
        assert caught.value.members["errors"] == [{"pointer": "/ratio", "detail": "is missing"}]
        assert (store.get("k"), changes) == (None, [])


def test_a_schema_that_never_rests_gives_up():
    class Restless(Examiner):
        def _examine(self, schema, value):
            super()._examine(schema, value)
            another = b'{"title": "%d"}' % store.engine.status()["revision"]
            store.engine.commit((), [Put(SCHEMAS + "k", another)], Meta())

    with serving_store(examiner=Restless()) as store:
        Schemas(store).put("k", b'{"title": "first"}', (), Meta())
        response = client(store).put("/v1/kv/k", data=LARGE)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
