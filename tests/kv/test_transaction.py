"""Several writes as one: what a body may say, all or nothing in every engine, and over HTTP."""

from __future__ import annotations

import json
from contextlib import suppress

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv.errors import BadDocument, BadRequest
from kv.model import Condition, Delete, Merge, Meta, Put
from kv.transaction import Transaction, parse
from tests.support.kv_helpers import client, etag, problem, serving_store

PATH = "/v1/txn"
NOTHING = {"delete": "x"}


def txn(http, *do, conditions=(), **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(PATH, data=json.dumps({"if": conditions, "do": do}), headers=named)


def test_what_a_body_says():
    raw = b"""{"if": [{"key": "a", "etag": "1-x"}, {"key": "b", "exists": true}, {"key": "c", "exists": false}],
               "do": [{"put": "a", "value": {"x": [1, 2.50]}}, {"put": "lock", "value": null, "ttl": 30},
                      {"merge": "m", "value": {"x": null}}, {"delete": "d"}]}"""
    assert parse(raw) == Transaction(
        (
            Condition("a", frozenset({"1-x"})),
            Condition("b", None, wanted=True),
            Condition("c", None, wanted=False),
        ),
        (
            Put("a", b'{"x": [1, 2.5]}'),
            Put("lock", b"null", 30.0),
            Merge("m", {"x": None}),
            Delete("d"),
        ),
    )


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({}, [""]),
        ({"if": []}, [""]),
        ({"do": [NOTHING], "then": []}, [""]),
        ({"do": {}}, ["/do"]),
        ({"do": None}, ["/do"]),
        ({"do": [{"delete": f"k{n}"} for n in range(33)]}, ["/do"]),
        ({"do": [NOTHING], "if": [{"key": f"k{n}", "exists": True} for n in range(33)]}, ["/if"]),
        ({"do": ["delete"]}, ["/do/0"]),
        ({"do": [{}]}, ["/do/0"]),
        ({"do": [{"put": "a"}]}, ["/do/0"]),
        ({"do": [{"delete": "a", "value": 1}]}, ["/do/0"]),
        ({"do": [{"put": "a", "merge": "a", "value": 1}]}, ["/do/0"]),
        ({"do": [{"merge": "a", "value": 1, "ttl": 9}]}, ["/do/0"]),
        ({"do": [{"delete": "a//b"}]}, ["/do/0/delete"]),
        ({"do": [{"delete": 7}]}, ["/do/0/delete"]),
        ({"do": [{"put": "../a", "value": 1}]}, ["/do/0/put"]),
        ({"do": [{"put": "a", "value": 1, "ttl": 0}]}, ["/do/0/ttl"]),
        ({"do": [{"put": "a", "value": 1, "ttl": True}]}, ["/do/0/ttl"]),
        ({"do": [{"put": "a", "value": 1, "ttl": "9"}]}, ["/do/0/ttl"]),
        ({"do": [NOTHING, {"delete": "y"}, NOTHING]}, ["/do/2"]),
        ({"do": [NOTHING], "if": [{"key": "a", "etag": 1}]}, ["/if/0/etag"]),
        ({"do": [NOTHING], "if": [{"key": "a", "exists": 1}]}, ["/if/0/exists"]),
        ({"do": [NOTHING], "if": [{"key": "a"}]}, ["/if/0"]),
        ({"do": [NOTHING], "if": [{"key": "a", "exists": True, "etag": "x"}]}, ["/if/0"]),
        ({"do": [NOTHING], "if": [{"key": "a", "exists": True}] * 2}, ["/if/1"]),
        ({"do": [{"delete": ""}, 1], "if": [{}]}, ["/if/0", "/do/0/delete", "/do/1"]),
        ({"do": [1] * 32}, [f"/do/{n}" for n in range(10)]),
    ],
)
def test_each_fault_is_pointed_at(body, pointers):
    with pytest.raises(BadRequest) as caught:
        parse(json.dumps(body).encode())
    assert [error["pointer"] for error in caught.value.members["errors"]] == pointers
    assert pointers[0] in str(caught.value)


def test_the_json_itself_is_read_strictly():
    with pytest.raises(BadDocument):
        parse(b'{"do": [{"put": "a", "value": NaN}]}')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["a", "a/b", "1-x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["if", "do", "put", "merge", "delete", "key", "etag", "value"]), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(JSON)
def test_whatever_is_sent_is_a_transaction_or_refused(body):
    with suppress(BadRequest, BadDocument):
        parse(json.dumps(body).encode())


# Over HTTP, in every engine


@pytest.fixture
def everywhere(make_engine):
    """A client of a server on each engine."""
    with serving_store(make_engine()) as store:
        yield client(store)


def test_all_of_it(everywhere):
    for key in ("m", "d"):
        everywhere.put(f"/v1/kv/{key}", data=b'{"x": 1}')
    response = txn(
        everywhere,
        {"put": "a", "value": {"n": 1}},
        {"merge": "m", "value": {"y": 2}},
        {"delete": "d"},
        {"put": "m2", "value": 1, "ttl": 30},
        conditions=[{"key": "m", "exists": True}, {"key": "a", "exists": False}],
        X_Author="ann",
    )
    revision = response.json["revision"]
    assert (response.status_code, response.headers["X-Store-Revision"]) == (200, str(revision))
    results = response.json["results"]
    assert [(each["key"], each["revision"], each["changed"]) for each in results] == [
        (key, revision, True) for key in ("a", "m", "d", "m2")
    ]
    assert [each["version"] for each in results] == [1, 2, 2, 0]
    assert (results[2]["etag"], results[3]["ttl"]) == ("0", 30)
    assert everywhere.get("/v1/kv/m").json == {"x": 1, "y": 2}
    assert etag(everywhere.get("/v1/kv/a")) == f'"{results[0]["etag"]}"'
    assert everywhere.get("/v1/kv/a?history=1").json["versions"][0]["author"] == "ann"


@pytest.mark.parametrize(
    ("condition", "current"),
    [
        ({"key": "b", "etag": "stale"}, True),
        ({"key": "b", "etag": "0"}, True),
        ({"key": "b", "exists": False}, True),
        ({"key": "x", "exists": True}, False),
        ({"key": "x", "etag": "1-x"}, False),
    ],
)
def test_or_nothing_and_which_condition_it_was(everywhere, condition, current):
    there = everywhere.put("/v1/kv/b", data=b"1").json["etag"]
    fine = {"key": "a", "exists": False}
    response = txn(everywhere, {"put": "a", "value": 1}, {"delete": "b"}, conditions=[fine, condition])
    told = problem(response)
    now = there if current else "0"
    assert (response.status_code, told["index"], told["key"], told["etag"]) == (412, 1, condition["key"], now)
    assert (everywhere.get("/v1/kv/a").status_code, everywhere.get("/v1/kv/b").data) == (404, b"1")


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"merge": "x", "value": {}}, 404),
        ({"delete": "x"}, 404),
        ({"put": "b", "value": 1, "ttl": 9}, 409),
        ({"merge": "b", "value": {"y": "x" * 200_000}}, 413),
    ],
)
def test_one_that_fails_takes_all_with_it(everywhere, operation, status):
    everywhere.put("/v1/kv/b", data=json.dumps({"x": "x" * 400_000}).encode())
    response = txn(everywhere, {"put": "a", "value": 1}, operation)
    assert (problem(response)["status"], everywhere.get("/v1/kv/a").status_code) == (status, 404)


def test_what_changes_nothing(everywhere):
    everywhere.put("/v1/kv/a", data=b"1")
    both = txn(everywhere, {"put": "a", "value": 1}, {"put": "b", "value": 2}).json
    assert [each["changed"] for each in both["results"]] == [False, True]
    again = txn(everywhere, {"put": "a", "value": 1}, {"put": "b", "value": 2}).json
    assert [each["changed"] for each in again["results"]] == [False, False]
    assert again["revision"] == both["revision"]


def test_sums_stay_whole_under_concurrent_transfers(make_engine):
    with serving_store(make_engine()) as store:
        http = client(store)
        txn(http, *({"put": key, "value": 100} for key in "abc"))

        def transfer(source, target):
            for _ in range(10):
                while True:
                    read = [http.get(f"/v1/kv/{key}") for key in (source, target)]
                    held = [
                        {"key": key, "etag": response.headers["ETag"].strip('"')}
                        for key, response in zip((source, target), read, strict=True)
                    ]
                    moved = [
                        {"put": source, "value": read[0].json - 1},
                        {"put": target, "value": read[1].json + 1},
                    ]
                    if txn(http, *moved, conditions=held).status_code == 200:
                        break
                    gevent.sleep(0)

        tasks = [gevent.spawn(transfer, *pair) for pair in ("ab", "bc", "ca", "bc")]
        gevent.joinall(tasks, timeout=20, raise_error=True)
        values = {item.key: int(item.value) for item in store.scan("", "", 9)[1]}
    assert values == {"a": 100, "b": 90, "c": 110}


def test_watchers_of_its_keys_hear_of_it_once(store, http):
    with store.hub.watch("") as everything, store.hub.watch("a") as one:
        txn(http, {"put": "a", "value": 1}, {"put": "b", "value": 1})
        assert (everything.wait(0), one.wait(0), everything.wait(0)) == (True, True, False)


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
def test_conditions_in_headers_are_refused_and_not_ignored(http, header):
    response = http.post(PATH, data=json.dumps({"do": [{"put": "a", "value": 1}]}), headers={header: "*"})
    assert (problem(response)["status"], http.get("/v1/kv/a").status_code) == (400, 404)


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("GET", PATH, None, 405),
        ("PUT", PATH, b"{}", 405),
        ("POST", f"{PATH}?x=1", b"{}", 400),
        ("POST", PATH, None, 411),
        ("POST", PATH, b"{", 400),
        ("POST", PATH, b"[" + b" " * 600_000 + b"]", 413),
    ],
)
def test_strangers(http, method, path, data, status):
    assert problem(http.open(path, method=method, data=data))["status"] == status


def test_pages_of_other_origins_are_refused(store, http):
    response = txn(http, {"put": "a", "value": 1}, Origin="http://evil.example")
    assert (response.status_code, store.get("a")) == (403, None)


def test_a_lock_guards_another_key(everywhere):
    """What a leader does: write only as long as it holds the lock."""
    lock = everywhere.put("/v1/kv/lock?ttl=30", data=b'"me"', headers={"If-None-Match": "*"}).json["etag"]
    held = [{"key": "lock", "etag": lock}]
    assert txn(everywhere, {"put": "a", "value": 1}, conditions=held).status_code == 200
    everywhere.put("/v1/kv/lock?ttl=30", data=b'"you"')
    assert txn(everywhere, {"put": "a", "value": 2}, conditions=held).status_code == 412


def test_every_operation_is_weighed_on_what_was_there_before(store):
    store.put("a", b"1", (), Meta())
    commit = store.transact(parse(b'{"do": [{"put": "b", "value": 1}, {"delete": "a"}]}'), Meta())
    assert [result.created for result in commit.results] == [True, False]
