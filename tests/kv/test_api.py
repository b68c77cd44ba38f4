"""The HTTP contract, asked of the WSGI application."""

from __future__ import annotations

import json
import re

import pytest

from kv.engine.memory import MemoryEngine
from kv.errors import Unavailable
from kv.store import Store
from tests.support.kv_helpers import client, etag, problem, serving_store

KEY = "/v1/kv/canary/config"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def store(make_engine):
    with serving_store(make_engine()) as store:
        yield store


@pytest.fixture
def base(store):
    """The revision of the empty store: etcd counts everybody's."""
    return store.revision


def test_the_stored_bytes_come_back_as_sent(http):
    raw = b'{\n  "ratio": 0.10, "n\xc3\xa4me": 1}\n'
    assert http.put(KEY, data=raw, content_type=FORM).status_code == 201
    response = http.get(KEY)
    assert (response.data, response.content_type) == (raw, "application/json")


def test_what_a_write_answers(http, base):
    http.put(KEY, data=b"1")
    response = http.put(KEY, data=b"[2]")
    assert response.status_code == 200
    modified = response.json.pop("modified")
    assert response.json | {"modified": modified} == {
        "key": "canary/config",
        "revision": base + 2,
        "etag": f"{base + 2}-038966de9f6b",
        "version": 2,
        "changed": True,
        "modified": modified,
    }
    assert modified.endswith("Z")
    assert etag(response) == f'"{base + 2}-038966de9f6b"'


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_read_headers(http, base, method):
    http.put(KEY, data=b"[2]")
    http.put("/v1/kv/other", data=b"1")
    headers = http.open(KEY, method=method).headers
    assert (headers["ETag"], headers["X-Revision"], headers["X-Store-Revision"]) == (
        f'"{base + 1}-038966de9f6b"',
        str(base + 1),
        str(base + 2),
    )
    assert (headers["Cache-Control"], headers["Content-Length"]) == ("no-cache", "3")
    assert headers["Last-Modified"].endswith("GMT")


def test_head_has_no_body(http):
    http.put(KEY, data=b"1")
    assert http.head(KEY).data == b""


def test_nothing_has_an_etag_too(http):
    response = http.get(KEY)
    assert (response.status_code, etag(response), problem(response)["key"]) == (404, '"0"', "canary/config")


def test_post_is_put(http):
    assert http.post(KEY, data=b"1").status_code == 201


def test_the_same_content_changes_nothing(http):
    first = http.put(KEY, data=b"1")
    again = http.put(KEY, data=b"1")
    told = again.status_code, again.json["changed"], again.json["revision"]
    assert told == (200, False, first.json["revision"])


@pytest.mark.parametrize("content_type", [FORM, "application/json", "application/merge-patch+json", None])
def test_patch_merges(http, content_type):
    http.put(KEY, data=b'{"ratio": 0.1, "style": "ratio"}')
    response = http.patch(KEY, data=b'{"ratio": 0.5}', content_type=content_type)
    assert (response.status_code, http.get(KEY).data) == (200, b'{"ratio": 0.5, "style": "ratio"}')


def test_a_patch_of_another_type_says_which(http):
    response = http.patch(KEY, data=b"[]", content_type="text/plain")
    assert (response.status_code, "application/merge-patch+json" in response.headers["Accept-Patch"]) == (
        415,
        True,
    )


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_multipart_is_refused(http, method):
    response = http.open(KEY, method=method, data={"file": "1"}, content_type="multipart/form-data")
    assert response.status_code == 415


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_nothing_cannot_be_changed(http, method):
    response = http.open(KEY, method=method, data=b"{}" if method == "PATCH" else None)
    assert (response.status_code, problem(response)["etag"]) == (404, "0")


def test_delete(http):
    http.put(KEY, data=b"1")
    assert (http.delete(KEY).status_code, http.get(KEY).status_code) == (200, 404)


def filled(value, base):
    """The n-th revision of the store for each `<n>`."""
    return re.sub(r"<(\d)>", lambda found: str(base + int(found[1])), value)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-Match", '"<1>-44136fa355b3"', 200),
        ("If-Match", '"x", "<1>-44136fa355b3"', 200),
        ("If-Match", "*", 200),
        ("If-Match", '"<2>-44136fa355b3"', 412),
        ("If-Match", 'W/"<1>-44136fa355b3"', 412),
        ("If-Match", '"0"', 412),
        ("If-None-Match", '"<2>-44136fa355b3"', 200),
        ("If-None-Match", "*", 412),
        ("If-None-Match", 'W/"<1>-44136fa355b3"', 412),
        ("If-Match", "", 400),
        ("If-None-Match", " ", 400),
    ],
)
def test_conditional_writes(http, base, method, header, value, status):  # noqa: PLR0917
    current = etag(http.put(KEY, data=b"{}"))
    data = None if method == "DELETE" else b'{"a": 1}'
    response = http.open(KEY, method=method, headers={header: filled(value, base)}, data=data)
    assert response.status_code == status
    if status == 412:
        assert (etag(response), http.get(KEY).data) == (current, b"{}")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", "*", 201),
        ("If-Match", '"0"', 201),
        ("If-Match", "*", 412),
        ("If-Match", '"1-x"', 412),
    ],
)
def test_conditional_creation(http, header, value, status):
    assert http.put(KEY, data=b"1", headers={header: value}).status_code == status


@pytest.mark.parametrize("value", ["{}", "W/{}", "*", '"a", {}'])
def test_304(http, value):
    known = etag(http.put(KEY, data=b"1"))
    response = http.get(KEY, headers={"If-None-Match": value.format(known)})
    assert (response.status_code, response.data, etag(response)) == (304, b"", known)


def test_nothing_is_not_unchanged(http):
    assert http.get(KEY, headers={"If-None-Match": '"0"'}).status_code == 404


def test_old_versions(http):
    written = [http.put(KEY, data=raw) for raw in (b"1", b"2")]
    revision, known = written[0].json["revision"], etag(written[0])
    old = http.get(f"{KEY}?rev={revision}")
    assert (old.data, etag(old)) == (b"1", known)
    assert http.get(f"{KEY}?rev={revision}", headers={"If-None-Match": known}).status_code == 304
    assert http.get(f"{KEY}?rev={revision + 2}").status_code == 404


def test_pruned_versions_are_gone(http):
    revisions = [http.put(KEY, data=b"%d" % number).json["revision"] for number in range(102)]
    assert http.get(f"{KEY}?rev={revisions[2]}").data == b"2"
    assert problem(http.get(f"{KEY}?rev={revisions[1]}"))["status"] == 410
    assert http.put(f"{KEY}?from={revisions[1]}").status_code == 410
    assert len(http.get(f"{KEY}?history=1000").json["versions"]) == 100


def test_history(http):
    http.put(KEY, data=b"12", headers={"X-Author": "ann", "X-Note": "f\xc3\xbcr alle"})
    end = http.delete(KEY).json["revision"]
    deletion, creation = http.get(f"{KEY}?history=9").json["versions"]
    assert (deletion["revision"], deletion["deleted"], deletion["etag"]) == (end, True, "0")
    assert (creation["author"], creation["note"], creation["size"]) == ("ann", "für alle", 2)
    assert len(http.get(f"{KEY}?history=1").json["versions"]) == 1
    assert http.get("/v1/kv/never?history=1").status_code == 404


def test_roll_back(http):
    first, second = (http.put(KEY, data=raw).json["revision"] for raw in (b"1", b"2"))
    response = http.put(f"{KEY}?from={first}")
    assert (response.status_code, response.json["revision"] - second, http.get(KEY).data) == (200, 1, b"1")
    assert http.get(f"{KEY}?history=1").json["versions"][0]["note"] == f"copy of revision {first}"


def test_a_deleted_document_can_be_brought_back(http):
    first = http.put(KEY, data=b"1").json["revision"]
    end = http.delete(KEY).json["revision"]
    assert http.put(f"{KEY}?from={end}").status_code == 404
    assert (http.put(f"{KEY}?from={first}").status_code, http.get(KEY).data) == (201, b"1")


def test_roll_back_takes_conditions_and_no_body(http):
    first, _ = (http.put(KEY, data=raw).json["revision"] for raw in (b"1", b"2"))
    assert http.put(f"{KEY}?from={first}", headers={"If-Match": '"x"'}).status_code == 412
    assert http.put(f"{KEY}?from={first}", data=b"3").status_code == 400


def test_listing(http, base):
    for key in ("a/x", "a/y", "b"):
        http.put(f"/v1/kv/{key}", data=b'{"k": 1}\n')
    page = http.get("/v1/kv/a/?values&limit=1").json
    assert (page["revision"], page["next"]) == (base + 2, "a/x")
    told = {"key": "a/x", "revision": base + 1, "size": 9, "value": {"k": 1}}
    assert page["items"][0].items() >= told.items()
    rest = http.get("/v1/kv/a/?after=a/x").json
    assert ([item["key"] for item in rest["items"]], rest["next"], "value" in rest["items"][0]) == (
        ["a/y"],
        None,
        False,
    )
    assert [item["key"] for item in http.get("/v1/kv/").json["items"]] == ["a/x", "a/y", "b"]
    assert http.get("/v1/kv/none/").json == {"revision": 0, "items": [], "next": None}


def test_a_page_of_large_values_ends_early(http):
    raw = b'"' + b"x" * 500_000 + b'"'
    for number in range(20):
        http.put(f"/v1/kv/k{number:02}", data=raw)
    page = http.get("/v1/kv/?values").json
    assert (len(page["items"]), page["next"]) == (16, "k15")
    assert len(http.get("/v1/kv/").json["items"]) == 20


def test_a_listing_has_an_etag_of_its_own(http):
    http.put("/v1/kv/a/x", data=b"1")
    first = etag(http.get("/v1/kv/a/"))
    http.put("/v1/kv/b", data=b"1")
    assert http.get("/v1/kv/a/", headers={"If-None-Match": first}).status_code == 304
    http.delete("/v1/kv/a/x")
    assert http.get("/v1/kv/a/", headers={"If-None-Match": first}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "?wait=abc"),
        ("GET", "?wait=-1"),
        ("GET", "?wait=nan"),
        ("GET", "?wait="),
        ("GET", "?history=-1"),
        ("GET", "?history=0"),
        ("GET", "?rev=x"),
        ("GET", "?rev=1&rev=2"),
        ("GET", "?rev=1&history=2"),
        ("GET", "?rev=1&wait=2"),
        ("GET", "?watch=1"),
        ("GET", "?limit=1"),
        ("GET", "/?limit=0"),
        ("GET", "/?values=2"),
        ("GET", "/?after=../x"),
        ("GET", "/?rev=1"),
        ("PUT", "?from=x"),
        ("PUT", "?wait=1"),
        ("PATCH", "?from=1"),
        ("DELETE", "?rev=1"),
    ],
)
def test_wrong_parameters(http, method, path):
    response = http.open(KEY + path, method=method, data=None if method in ("GET", "DELETE") else b"{}")
    assert (response.status_code, bool(problem(response)["detail"])) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/kv", 404),
        ("GET", "/v2/kv/a", 404),
        ("GET", "/-/healthz", 200),
        ("GET", "/-/readyz", 200),
        ("GET", "/-/healthz?x=1", 400),
        ("POST", "/-/healthz", 405),
        ("OPTIONS", "/v1/kv/a", 405),
        ("BREW", "/v1/kv/a", 405),
        ("PUT", "/v1/kv/a/", 405),
        ("GET", "/v1/kv/a//b", 400),
        ("GET", "/v1/kv/..%2fx", 400),
        ("GET", "/v1/kv//", 400),
        ("GET", "/v1/kv/%ff", 400),
        ("PUT", "/v1/kv/" + "x" * 257, 400),
    ],
)
def test_paths(http, method, path, status):
    response = http.open(path, method=method)
    assert response.status_code == status
    if status != 200:
        assert problem(response)["type"].startswith("/problems/")


def test_405_says_what_is_allowed(http):
    assert http.open("/v1/kv/a", method="BREW").headers["Allow"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    assert http.put("/v1/kv/a/").headers["Allow"] == "GET, HEAD"


def test_bad_json_says_where(http):
    http.put(KEY, data=b"1")
    response = http.put(KEY, data=b'{"a": {"b": NaN}}')
    assert problem(response)["errors"] == [{"pointer": "/a/b", "detail": "NaN is not JSON"}]
    assert http.get(KEY).data == b"1"


def test_limits_of_a_value(http):
    largest = b'"' + b"x" * (512 * 1024 - 2) + b'"'
    assert http.put(KEY, data=largest).status_code == 201
    assert problem(http.put(KEY, data=largest + b" "))["status"] == 413
    assert http.get(KEY).data == largest


def test_a_patch_may_not_grow_a_value_above_the_limit(http):
    http.put(KEY, data=json.dumps({"a": "x" * 400_000}).encode())
    assert http.patch(KEY, data=json.dumps({"b": "x" * 200_000}).encode()).status_code == 413


@pytest.mark.parametrize("header", ["X-Author", "X-Note"])
def test_signatures_have_limits(http, header):
    assert http.put(KEY, data=b"1", headers={header: "x" * 1025}).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_a_write_needs_a_body(http, method):
    http.put(KEY, data=b"1")
    assert http.open(KEY, method=method).status_code in (400, 411)
    assert http.get(KEY).data == b"1"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:7001", 200),
        ("127.0.0.1:7001", 200),
        ("[::1]:7001", 200),
        ("10.1.2.3", 200),
        ("kv.internal:7001", 200),
        ("KV.internal.", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.1", 403),
        ("localhost@evil.example", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_only_known_hosts(store, host, status):
    response = client(store, ["kv.internal"]).get("/-/healthz", headers={"Host": host})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("PUT", "http://evil.example", 403),
        ("PUT", "null", 403),
        ("PUT", "http://localhost:8080", 403),
        ("PUT", "http://localhost", 201),
        ("POST", "http://evil.example", 403),
        ("PATCH", "http://evil.example", 403),
        ("DELETE", "http://evil.example", 403),
        ("GET", "http://evil.example", 404),
    ],
)
def test_a_page_of_another_origin_cannot_write(http, method, origin, status):
    data = None if method in ("GET", "DELETE") else b"{}"
    response = http.open(KEY, method=method, data=data, headers={"Origin": origin})
    assert response.status_code == status
    assert "Access-Control-Allow-Origin" not in response.headers


def test_not_ready_when_nothing_can_be_written(http, store):
    store.engine.close()
    response = http.get("/-/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert http.get("/-/healthz").status_code == 200


def test_a_fault_of_ours_shows_no_trace(caplog):
    class Broken(MemoryEngine):
        def get(self, key, revision=None):
            raise RuntimeError("secret")

    response = client(Store(Broken())).get(KEY)
    assert (response.status_code, b"secret" in response.data, "secret" in caplog.text) == (500, False, True)


def test_unavailable_is_503(store, http):
    store.engine.close()
    with pytest.raises(Unavailable):
        store.check()
    assert problem(http.put(KEY, data=b"1"))["status"] == 503
