"""Tokens, their scopes and their pace, conditions: over HTTP."""

from __future__ import annotations

import json

import pytest

from kv.admission import Admission
from kv.caller import Caller
from kv.errors import TooManyRequests
from kv.model import Meta
from kv.pacing import Pacing
from kv.stream import Pace
from kv.tokens import Tokens, digest
from tests.support.events import EventSource
from tests.support.kv_helpers import client, held, problem, serving

ADMIN, READER, WRITER, SCRAPER = "admin", "reader", "writer", "scraper"
SCOPES = {ADMIN: ([""], [""]), READER: (["a/"], []), WRITER: (["a/b"], ["a/b", "w/"]), SCRAPER: ([], [])}


def tokens(*names):
    """Whose secret is the name itself."""
    return Tokens(tuple((digest(name), Caller(name, *map(tuple, SCOPES[name]))) for name in names))


class Entrance:
    """Tokens that a test may change while the server goes on."""

    def __init__(self):
        self.tokens = tokens(*SCOPES)
        self.now = 0.0
        self.admission = Admission(lambda: self.tokens, pacing=Pacing(clock=lambda: self.now))


@pytest.fixture
def entrance():
    return Entrance()


@pytest.fixture
def guarded(store, entrance):
    return client(store, admission=entrance.admission)


def ask(http, token, method, path, body=None, **headers):
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body)
    return http.open(path, method=method, data=data, headers=headers)


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, "Bearer"),
        ("Bearer nobody", 'Bearer error="invalid_token"'),
        ("Bearer", 'Bearer error="invalid_token"'),
        ("Bearer ", 'Bearer error="invalid_token"'),
        ("Bearer admin admin", 'Bearer error="invalid_token"'),
        ("Basic admin", 'Bearer error="invalid_token"'),
        ("admin", 'Bearer error="invalid_token"'),
        ("Bearer admin, Bearer admin", 'Bearer error="invalid_token"'),
        ("Bearer \xe9", 'Bearer error="invalid_token"'),
    ],
)
@pytest.mark.parametrize("call", ["GET /v1/kv/a/b", "PUT /v1/kv/a/b", "GET /-/backup"])
def test_nobody_gets_in_without_a_token(guarded, store, call, authorization, challenge):
    method, path = call.split()
    headers = {} if authorization is None else {"Authorization": authorization}
    response = guarded.open(path, method=method, data=b"1" if method == "PUT" else None, headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, challenge)
    assert problem(response)["type"] == "/problems/unauthorized"
    assert store.get("a/b") is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_scheme_has_no_case(guarded, scheme):
    assert guarded.get("/v1/kv/a/b", headers={"Authorization": f"{scheme} admin"}).status_code == 404


def test_health_needs_none(guarded):
    assert (guarded.get("/-/healthz").status_code, guarded.get("/-/readyz").status_code) == (200, 200)


TXN = {"if": [{"key": "a/b", "exists": False}], "do": [{"put": "w/x", "value": 1}]}


@pytest.mark.parametrize(
    ("token", "call", "body", "missing"),
    [
        (READER, "GET /v1/kv/a/b", None, None),
        (READER, "GET /v1/kv/a/", None, None),
        (READER, "GET /v1/kv/a/c/", None, None),
        (READER, "GET /v1/kv/a/b?history=1", None, None),
        (READER, "GET /v1/schema/a/", None, None),
        (READER, "GET /v1/kv/ab", None, "read:ab"),
        (READER, "GET /v1/kv/ab?wait=1", None, "read:ab"),
        (READER, "GET /v1/kv/", None, "read:"),
        (READER, "GET /v1/schema/", None, "read:"),
        (READER, "GET /v1/schemas", None, "read:"),
        (READER, "GET /-/backup", None, "read:"),
        (READER, "PUT /v1/kv/a/b", 1, "write:a/b"),
        (READER, "POST /v1/txn", {"do": [{"put": "a/b", "value": 1}]}, "write:a/b"),
        (WRITER, "PUT /v1/kv/a/b", 1, None),
        (WRITER, "PUT /v1/kv/w/x", 1, None),
        (WRITER, "GET /v1/kv/a/b", None, None),
        (WRITER, "GET /v1/kv/w/x", None, "read:w/x"),
        (WRITER, "GET /v1/kv/a/", None, "read:a/"),
        (WRITER, "PUT /v1/kv/a/b/c", 1, "write:a/b/c"),
        (WRITER, "PUT /v1/kv/w", 1, "write:w"),
        (WRITER, "PATCH /v1/kv/z", {}, "write:z"),
        (WRITER, "DELETE /v1/kv/z", None, "write:z"),
        (WRITER, "PUT /v1/kv/z?from=1", None, "write:z"),
        (WRITER, "PUT /v1/kv/z?ttl=9", 1, "write:z"),
        (WRITER, "PUT /v1/schema/a/b", {}, None),
        (WRITER, "PUT /v1/schema/w/", {}, None),
        (WRITER, "PUT /v1/schema/w/x", {}, None),
        (WRITER, "PUT /v1/schema/a/", {}, "write:a/"),
        (WRITER, "PUT /v1/schema/", {}, "write:"),
        (WRITER, "DELETE /v1/schema/a/", None, "write:a/"),
        (WRITER, "POST /v1/txn", TXN, None),
        (WRITER, "POST /v1/txn", TXN | {"if": [{"key": "w/y", "exists": False}]}, None),
        (WRITER, "POST /v1/txn", TXN | {"if": [{"key": "z", "exists": False}]}, "read:z"),
        (WRITER, "POST /v1/txn", {"do": [{"put": "w/x", "value": 1}, {"delete": "z"}]}, "write:z"),
        (SCRAPER, "GET /v1/kv/a/b", None, "read:a/b"),
        (SCRAPER, "POST /v1/txn", {"do": []}, None),
        (ADMIN, "GET /v1/kv/", None, None),
        (ADMIN, "PUT /v1/kv/z", 1, None),
        (ADMIN, "GET /-/backup", None, None),
    ],
)
def test_scopes(guarded, token, call, body, missing):
    with ask(guarded, token, *call.split(), body) as response:
        if missing is None:
            assert response.status_code in (200, 201, 404)
            return
    assert (response.status_code, problem(response)["scope"]) == (403, missing)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert response.headers["X-Store-Revision"] == "0"


@pytest.mark.parametrize("key", ["a%0d%0aX-Evil:%201", "%22", "%ff", "x" * 5000])
def test_odd_keys_are_refused_in_an_orderly_way(guarded, key):
    response = ask(guarded, WRITER, "PUT", f"/v1/kv/{key}", 1)
    assert (response.status_code in (403, 404), "X-Evil" in response.headers) == (True, False)
    assert len(response.data) < 3000


def test_a_stream_needs_the_right_to_read(guarded):
    stream = {"Accept": "text/event-stream"}
    assert ask(guarded, WRITER, "GET", "/v1/kv/w/x", **stream).status_code == 403
    assert ask(guarded, WRITER, "GET", "/v1/kv/a/", **stream).status_code == 403


def test_a_token_that_is_taken_away_ends_its_streams(store, entrance):
    def put(value):
        store.put("a/b", value, (), Meta())

    with serving(store, admission=entrance.admission, pace=Pace(heartbeat=0.02)) as server:
        address = ("127.0.0.1", server.server_port)
        with (
            EventSource(address, "/v1/kv/a/b", token=READER) as kept,
            EventSource(address, "/v1/kv/a/", token=ADMIN) as ended,
        ):
            assert (kept.next().kind, ended.next().kind, ended.next().kind) == ("delete", "reset", "sync")
            entrance.tokens = tokens(READER, SCRAPER)
            put(b"1")
            assert kept.next().data == "1"
            assert ended.ends()


@pytest.mark.parametrize(
    ("left", "status"),
    [
        (tokens(ADMIN), 401),
        (Tokens(((digest(READER), Caller(READER, ("b/",), ())),)), 403),
        (tokens(ADMIN, READER), 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1/kv/a/b", "/v1/kv/a/"])
def test_who_waits_is_admitted_again_before_the_answer(store, entrance, path, left, status):
    http = client(store, admission=entrance.admission)

    def put(value):
        store.put("a/b", value, (), Meta())

    def wait():
        return ask(http, READER, "GET", f"{path}?wait=30", **{"If-None-Match": known})

    put(b"1")
    known = ask(http, ADMIN, "GET", path).headers["ETag"]
    with held(lambda: store.hub.watchers, wait) as waiting:
        entrance.tokens = left
        put(b"2")
        assert waiting.get(timeout=5).status_code == status


def test_new_tokens_hold_at_once(guarded, entrance):
    entrance.tokens = tokens(ADMIN)
    assert ask(guarded, READER, "GET", "/v1/kv/a/b").status_code == 401
    assert ask(guarded, ADMIN, "GET", "/v1/kv/a/b").status_code == 404


def test_the_history_has_the_name_of_the_token(guarded):
    ask(guarded, ADMIN, "PUT", "/v1/kv/a", 1)
    ask(guarded, ADMIN, "PUT", "/v1/kv/a", 2, **{"X-Author": "ann"})
    told = ask(guarded, ADMIN, "GET", "/v1/kv/a?history=2").json["versions"]
    assert [version["author"] for version in told] == ["ann", "admin"]


# Pace


def test_pacing():
    now = [100.0]
    pacing = Pacing(rate=2, burst=3, clock=lambda: now[0])

    def taken():
        count = 0
        try:
            while True:
                pacing.take("a")
                count += 1
        except TooManyRequests as error:
            return count, error.headers["Retry-After"]

    assert taken() == (3, "1")
    assert taken() == (0, "1")
    pacing.take("b")
    now[0] += 1
    assert taken() == (2, "1")
    now[0] += 1000
    assert taken() == (3, "1")


def test_a_long_wait_is_told():
    pacing = Pacing(rate=0.1, burst=1, clock=lambda: 0.0)
    pacing.take("a")
    with pytest.raises(TooManyRequests) as caught:
        pacing.take("a")
    assert caught.value.headers["Retry-After"] == "10"


def test_who_writes_too_fast_has_to_wait(guarded, store, entrance):
    for _ in range(100):
        assert ask(guarded, WRITER, "PUT", "/v1/kv/a/b", 1).status_code in (200, 201)
    for method, path, body in [
        ("PUT", "/v1/kv/a/b", 2),
        ("DELETE", "/v1/kv/a/b", None),
        ("POST", "/v1/txn", {"do": [{"put": "a/b", "value": 2}]}),
        ("PUT", "/v1/schema/a/b", {}),
    ]:
        response = ask(guarded, WRITER, method, path, body)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
        assert problem(response)["type"] == "/problems/too-many-requests"
    assert store.get("a/b").value == b"1"
    assert ask(guarded, WRITER, "GET", "/v1/kv/a/b").status_code == 200
    assert ask(guarded, ADMIN, "PUT", "/v1/kv/a/b", 3).status_code == 200
    entrance.now += 0.05
    assert ask(guarded, WRITER, "PUT", "/v1/kv/a/b", 2).status_code == 200


def test_without_tokens_there_is_no_pace(http):
    for number in range(300):
        assert ask(http, None, "PUT", "/v1/kv/a", number).status_code in (200, 201)


# Conditions


@pytest.fixture
def conditional(store):
    return client(store, admission=Admission(conditional=True))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/kv/a", 1),
        ("POST", "/v1/kv/a", 1),
        ("PATCH", "/v1/kv/a", {}),
        ("DELETE", "/v1/kv/a", None),
        ("PUT", "/v1/kv/a?from=1", None),
        ("PUT", "/v1/schema/a", {}),
        ("DELETE", "/v1/schema/a", None),
        ("POST", "/v1/txn", {"do": [{"put": "a", "value": 1}]}),
    ],
)
def test_writes_without_a_condition(conditional, store, method, path, body):
    response = ask(conditional, None, method, path, body)
    assert (response.status_code, problem(response)["type"]) == (428, "/problems/precondition-required")
    assert store.revision == 0


def test_writes_with_a_condition(conditional):
    created = ask(conditional, None, "PUT", "/v1/kv/a", 1, **{"If-None-Match": "*"})
    assert created.status_code == 201
    match = {"If-Match": created.headers["ETag"]}
    assert ask(conditional, None, "PATCH", "/v1/kv/a", 2, **match).status_code == 200
    assert ask(conditional, None, "PATCH", "/v1/kv/a", 3, **match).status_code == 412
    wanted = {"if": [{"key": "a", "exists": True}], "do": [{"delete": "a"}]}
    assert ask(conditional, None, "POST", "/v1/txn", wanted).status_code == 200
    assert ask(conditional, None, "GET", "/v1/kv/a").status_code == 404


def test_without_being_asked_for_no_condition_is_needed(http):
    assert ask(http, None, "PUT", "/v1/kv/a", 1).status_code == 201
