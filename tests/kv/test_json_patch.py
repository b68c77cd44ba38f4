"""JSON Patch: the rules of RFC 6902, what is malformed, what does not fit, and what it may cost."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kv import document, json_patch
from kv.errors import BadPatch, CannotApply, PatchTestFailed
from kv.json_patch import apply, equal, parse
from kv.model import Meta, Patch
from tests.support.kv_helpers import client, etag, problem, put, serving_store

KEY = "/v1/kv/a/b"
TYPE = "application/json-patch+json"


def patched(value, *steps):
    return apply(copy.deepcopy(value), parse(list(steps)))


def step(op, path, **members):
    return {"op": op, "path": path, **{name.rstrip("_"): value for name, value in members.items()}}


@pytest.mark.parametrize(
    ("value", "steps", "result"),
    [
        # add
        ({"a": 1}, [step("add", "/b", value=2)], {"a": 1, "b": 2}),
        ({"a": 1}, [step("add", "/a", value=2)], {"a": 2}),
        ({"a": [1, 3]}, [step("add", "/a/1", value=2)], {"a": [1, 2, 3]}),
        ({"a": [1]}, [step("add", "/a/1", value=2)], {"a": [1, 2]}),
        ({"a": [1]}, [step("add", "/a/-", value=[2])], {"a": [1, [2]]}),
        ({"a": 1}, [step("add", "", value=[7])], [7]),
        ({"a": {"b": 1}}, [step("add", "/a/c", value=None)], {"a": {"b": 1, "c": None}}),
        ([[]], [step("add", "/0/0", value=1), step("add", "/0/0", value=0)], [[0, 1]]),
        ({}, [step("add", "/", value=1)], {"": 1}),
        ({}, [step("add", "/-", value=1)], {"-": 1}),
        ({}, [step("add", "/0", value=1)], {"0": 1}),
        # remove, replace
        ({"a": 1, "b": 2}, [step("remove", "/b")], {"a": 1}),
        ([1, 2, 3], [step("remove", "/1")], [1, 3]),
        ({"": {"": 1}}, [step("remove", "//")], {"": {}}),
        ({"a": 1, "b": 2}, [step("replace", "/a", value=9)], {"a": 9, "b": 2}),
        ([1, 2], [step("replace", "/0", value=[])], [[], 2]),
        ({"a": 1}, [step("replace", "", value=None)], None),
        ({"a": 1}, [step("remove", ""), step("add", "", value=2)], 2),
        # move, copy
        ({"a": {"b": 1}, "c": {}}, [step("move", "/c/d", from_="/a/b")], {"a": {}, "c": {"d": 1}}),
        ([1, 2, 3], [step("move", "/2", from_="/0")], [2, 3, 1]),
        ({"a": 1}, [step("move", "/a", from_="/a")], {"a": 1}),
        ({"a": {"b": 1}}, [step("move", "", from_="/a")], {"b": 1}),
        ({"a": [1]}, [step("copy", "/b", from_="/a"), step("add", "/b/-", value=2)], {"a": [1], "b": [1, 2]}),
        ({"a": 1}, [step("copy", "/b", from_="")], {"a": 1, "b": {"a": 1}}),
        # test
        ({"a": [1, {"b": None}]}, [step("test", "/a", value=[1.0, {"b": None}])], {"a": [1, {"b": None}]}),
        ({"a": 1}, [step("test", "", value={"a": 1})], {"a": 1}),
        # pointers
        ({"a/b": 1, "m~n": 2}, [step("remove", "/a~1b"), step("replace", "/m~0n", value=3)], {"m~n": 3}),
        ({"~1": 1}, [step("test", "/~01", value=1)], {"~1": 1}),
        ({"ä €": 1}, [step("remove", "/ä €")], {}),
        # what has no meaning for a step is not looked at
        ({"a": 1}, [step("remove", "/a", value=1, from_="x", note="y")], {}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
def test_what_becomes_of_it(value, steps, result):
    assert document.dump(patched(value, *steps)) == document.dump(result)


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({}, ""),
        ("x", ""),
        (None, ""),
        ([step("test", "", value=1)] * 1_001, ""),
        ([step("remove", "/a"), 7], "/1"),
        ([{}], "/0"),
        ([{"op": "remove"}], "/0"),
        ([{"op": "Remove", "path": "/a"}], "/0"),
        ([{"op": ["add"], "path": "/a", "value": 1}], "/0"),
        ([step("add", "/a")], "/0"),
        ([step("replace", "/a")], "/0"),
        ([step("test", "/a")], "/0"),
        ([step("move", "/a")], "/0"),
        ([step("copy", "/a")], "/0"),
        ([step("remove", "a")], "/0/path"),
        ([step("remove", 1)], "/0/path"),
        ([step("remove", None)], "/0/path"),
        ([step("remove", "/a~2")], "/0/path"),
        ([step("remove", "/a" * 65)], "/0/path"),
        ([step("remove", "/a~")], "/0/path"),
        ([step("move", "/a", from_="b")], "/0/from"),
        ([step("move", "/a/b", from_="/a")], "/0/path"),
        ([step("move", "/a", from_="")], "/0/path"),
    ],
)
def test_malformed(patch, pointer):
    with pytest.raises(BadPatch) as caught:
        parse(patch)
    assert [error["pointer"] for error in caught.value.members["errors"]] == [pointer]


@pytest.mark.parametrize(
    "bad",
    [
        step("remove", "/b"),
        step("remove", ""),
        step("replace", "/b", value=1),
        step("add", "/b/c", value=1),
        step("add", "/n/c", value=1),
        step("add", "/s/0", value=1),
        step("add", "/a/3", value=1),
        step("add", "/a/x", value=1),
        step("add", "/a/01", value=1),
        step("add", "/a/-1", value=1),
        step("add", "/a/1e0", value=1),
        step("add", "/a/9999999999", value=1),
        step("add", "/a/²", value=1),
        step("remove", "/a/2"),
        step("remove", "/a/-"),
        step("replace", "/a/-", value=1),
        step("test", "/a/-", value=1),
        step("test", "/b", value=None),
        step("move", "/c", from_="/b"),
        step("copy", "/c", from_="/a/2"),
        step("move", "/a/2", from_="/a/0"),
    ],
)
def test_what_does_not_fit(bad):
    value = {"a": [1, 2], "n": 7, "s": "text"}
    with pytest.raises(CannotApply) as caught:
        patched(value, step("test", "/n", value=7), bad)
    assert [error["pointer"] for error in caught.value.members.get("errors", [])] in (["/1"], [])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0, -0.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        ([], {}, False),
        ([1, 2], [1], False),
        ([True], [1], False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False),
        (10**20, 1e20, True),
        (2**53 + 1, float(2**53), False),
        ("é", "e\u0301", False),
    ],
)
def test_equality(one, other, same):
    assert (equal(one, other), equal(other, one)) == (same, same)
    if not same:
        with pytest.raises(PatchTestFailed) as caught:
            patched({"a": one}, step("test", "/a", value=other))
        assert caught.value.members["errors"][0]["pointer"] == "/0"


def test_names_keep_their_places():
    value = {"a": 1, "b": 2, "c": 3}
    assert list(patched(value, step("replace", "/a", value=9), step("add", "/b", value=9))) == ["a", "b", "c"]


def test_a_patch_can_be_applied_again():
    steps = parse(
        [step("add", "/a", value=[]), step("add", "/a/-", value={}), step("add", "/a/0/x", value=1)]
    )
    assert [apply({}, steps) for _ in range(2)] == [{"a": [{"x": 1}]}] * 2


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(("depth", "fits"), [(63, True), (64, False)])
def test_the_result_has_the_usual_depth_at_most(depth, fits):
    """An object around so many levels."""
    add = step("add", "/a", value=nested(depth))
    if fits:
        assert document.parse(document.dump(patched({}, add)))
    else:
        with pytest.raises(CannotApply, match="64 levels"):
            patched({}, add)


@pytest.mark.parametrize("times", [2, 40])
@pytest.mark.parametrize("op", ["copy", "move"])
def test_depth_cannot_be_piled_up(op, times):
    """Each time the first of two deep lists is put at the bottom of the second."""
    value = [nested(60), nested(60)]
    add = [step("add", "/0", value=nested(60))] if op == "move" else []
    pile = [*add, step(op, "/1" + "/0" * 58, from_="/0"), step(op, "/0", from_="/1")] * times
    with pytest.raises(CannotApply, match="64 levels"):
        patched(value, *pile[:-1])


def test_copies_cannot_be_piled_up():
    with pytest.raises(CannotApply, match="copies more"):
        patched({"a": "x" * 1000}, *[step("copy", f"/{n}", from_="") for n in range(100)])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)
PATHS = st.lists(st.sampled_from(["a", "b", "0", "1", "-"]), max_size=3).map(
    lambda path: "".join(f"/{each}" for each in path)
)
STEPS = st.builds(
    lambda op, path, source, value: {"op": op, "path": path, "from": source, "value": value},
    st.sampled_from(sorted(json_patch._OPERATIONS)),
    PATHS,
    PATHS,
    JSON,
)


@settings(deadline=None, max_examples=500)
@given(JSON, st.lists(STEPS, max_size=5))
def test_any_patch_applies_or_is_refused_and_leaves_itself_alone(value, steps):
    try:
        parsed = parse(steps)
        before = copy.deepcopy(parsed)
        result = apply(copy.deepcopy(value), parsed)
    except (BadPatch, CannotApply, PatchTestFailed):
        return
    assert document.parse(document.dump(result)) == result
    assert parsed == before


@settings(deadline=None, max_examples=200)
@given(JSON, JSON)
def test_a_value_equals_its_own_text_only(one, other):
    assert equal(one, json.loads(json.dumps(one)))
    assert equal(one, other) == equal(other, one)


# In every engine, and over HTTP


def test_in_every_engine(engine, base):
    put(engine, "a", b'{"n": 12345678901234567890, "list": [1]}')
    commit = engine.commit((), [Patch("a", parse([step("add", "/list/-", value=2)]))], Meta())
    assert (commit.revision - base, engine.get("a").value) == (
        2,
        b'{"n": 12345678901234567890, "list": [1, 2]}',
    )
    again = engine.commit((), [Patch("a", parse([step("test", "/list/1", value=2)]))], Meta())
    assert (again.revision - base, again.results[0].changed) == (2, False)


def patch(http, *steps, **options):
    return http.patch(KEY, data=json.dumps(steps), content_type=TYPE, **options)


def test_over_http(http):
    http.put(KEY, data=b'{\n "servers": [{"url": "u", "weight": 1}]}')
    response = patch(
        http,
        step("test", "/servers/0/url", value="u"),
        step("replace", "/servers/0/weight", value=5),
        headers={"X-Author": "ann"},
    )
    assert (response.status_code, response.json["changed"], response.json["version"]) == (200, True, 2)
    assert http.get(KEY).data == b'{"servers": [{"url": "u", "weight": 5}]}'


@pytest.mark.parametrize(
    ("steps", "status", "pointer"),
    [
        ([step("replace", "/a", value=2), step("test", "/a", value=1)], 409, "/1"),
        ([step("replace", "/a", value=2), step("remove", "/b")], 422, "/1"),
        ([step("remove", "/a"), step("remove", "a")], 400, "/1/path"),
        ({"op": "remove"}, 400, ""),
    ],
)
def test_what_fails_changes_nothing_and_is_told(make_engine, steps, status, pointer):
    with serving_store(make_engine()) as store:
        http = client(store)
        stored = http.put(KEY, data=b'{"a": 1}')
        response = http.patch(KEY, data=json.dumps(steps), content_type=TYPE)
        assert (problem(response)["status"], response.json["errors"][0]["pointer"]) == (status, pointer)
        assert (http.get(KEY).data, etag(http.get(KEY))) == (b'{"a": 1}', etag(stored))


def test_limits_hold_afterwards(http):
    http.put(KEY, data=json.dumps({"a": "x" * 400_000}).encode())
    assert problem(patch(http, step("copy", "/b", from_="/a")))["status"] == 413
    assert problem(patch(http, step("add", "/b", value=nested(64))))["status"] in (400, 422)


def test_conditions_hold_and_nothing_cannot_be_patched(http):
    assert patch(http, step("add", "/a", value=1)).status_code == 404
    http.put(KEY, data=b"{}")
    assert patch(http, step("add", "/a", value=1), headers={"If-Match": '"x"'}).status_code == 412
    assert (
        patch(http, step("add", "/a", value=1), headers={"If-Match": etag(http.get(KEY))}).status_code == 200
    )


def test_it_is_offered(http):
    response = http.patch(KEY, data=b"[]", content_type="text/plain")
    assert TYPE in response.headers["Accept-Patch"]
