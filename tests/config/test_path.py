from __future__ import annotations

import pytest

from app.config.path import assign, parse, pointer, remove


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("ratio", ("ratio",)),
        ("timeouts.head", ("timeouts", "head")),
        ("stable.servers[0].weight", ("stable", "servers", 0, "weight")),
    ],
)
def test_reads_a_place(text: str, path: tuple[str | int, ...]) -> None:
    assert parse(text) == path


@pytest.mark.parametrize(
    "text", ["", ".ratio", "[0]", "a..b", "a.", "a[x]", "a[-1]", "a b", "a[0]b c", "a/b"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"place|begin"):
        parse(text)


@pytest.mark.parametrize(
    ("place", "expected"),
    [("", ""), ("ratio", "/ratio"), ("stable.servers[2].url", "/stable/servers/2/url"), ("a~b", "/a~0b")],
)
def test_a_place_as_a_pointer(place: str, expected: str) -> None:
    assert pointer(place) == expected


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ("ratio", 1, {"ratio": 1, "list": [{"a": 1}]}),
        ("new.deep", 2, {"ratio": 0, "list": [{"a": 1}], "new": {"deep": 2}}),
        ("list[0].a", 3, {"ratio": 0, "list": [{"a": 3}]}),
        ("list[1]", 4, {"ratio": 0, "list": [{"a": 1}, 4]}),
        ("list[1].b", 5, {"ratio": 0, "list": [{"a": 1}, {"b": 5}]}),
        ("fresh[0].c", 6, {"ratio": 0, "list": [{"a": 1}], "fresh": [{"c": 6}]}),
    ],
)
def test_assigns(text: str, value: int, after: object) -> None:
    document = {"ratio": 0, "list": [{"a": 1}]}
    assign(document, parse(text), value)
    assert document == after


@pytest.mark.parametrize("text", ["list[2]", "list[2].a", "ratio.x", "ratio[0]", "list.a", "list.a.b"])
def test_assigns_nothing_where_nothing_can_be(text: str) -> None:
    document = {"ratio": 0, "list": [{"a": 1}]}
    with pytest.raises(ValueError, match=r"there is no|not to be found"):
        assign(document, parse(text), 1)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("ratio", {"list": [{"a": 1}]}),
        ("list[0]", {"ratio": 0, "list": []}),
        ("list[0].a", {"ratio": 0, "list": [{}]}),
        ("absent", {"ratio": 0, "list": [{"a": 1}]}),
        ("absent.too", {"ratio": 0, "list": [{"a": 1}]}),
    ],
)
def test_removes(text: str, after: object) -> None:
    document = {"ratio": 0, "list": [{"a": 1}]}
    remove(document, parse(text))
    assert document == after


@pytest.mark.parametrize("text", ["list[1]", "list[1].a", "list.a", "ratio.x"])
def test_removes_nothing_that_cannot_be_there(text: str) -> None:
    with pytest.raises(ValueError, match=r"there is no|not to be found"):
        remove({"ratio": 0, "list": [{"a": 1}]}, parse(text))
