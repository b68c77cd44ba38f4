"""The file of tokens, and files that are watched."""

from __future__ import annotations

import json
import os

import pytest

from kv import tokens
from kv.caller import Caller
from kv.errors import BadKey, BadSetting
from kv.watched import Watched
from tests.support.processes import wait_until

DIGEST = "a" * 64


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens.json"


def entry(**changes):
    return {"name": "ann", "sha256": DIGEST, "read": ["a/"], "write": ["a/b"]} | changes


def test_a_token_that_was_made_is_known(file):
    secret, made = tokens.make("ann", ["canary/"], ["canary/config", ""])
    _, other = tokens.make("bob", [], [])
    file.write_text(json.dumps([other, made]))
    assert tokens.load(file).caller(secret) == Caller("ann", ("canary/",), ("canary/config", ""))
    assert (secret in file.read_text(), len(secret) > 40) == (False, True)
    assert tokens.load(file).caller(secret[:-1]) is None
    assert tokens.load(file).caller("\u20ac") is None


def test_no_two_tokens_are_alike():
    assert tokens.make("a", [], [])[0] != tokens.make("a", [], [])[0]


@pytest.mark.parametrize(
    ("name", "scopes"), [("", []), ("a b", []), ("x" * 65, []), ("a", ["a//b"]), ("a", ["/"])]
)
def test_what_would_not_load_is_not_made(name, scopes):
    with pytest.raises((BadSetting, BadKey)):
        tokens.make(name, scopes, scopes)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the body is empty"),
        (b"[", "line 1 column 2"),
        (b"{}", "a list of 1 to 100"),
        (b"[]", "a list of 1 to 100"),
        ([entry(name=f"n{n}", sha256=f"{n:064x}") for n in range(101)], "a list of 1 to 100"),
        ([entry(), 5], "entry 2: an entry is an object of name, read, sha256, write"),
        ([entry(role="admin")], "entry 1: an entry is an object"),
        ([{"name": "ann"}], "entry 1: an entry is an object"),
        ([entry(name="")], "entry 1: a name is"),
        ([entry(name=["a"])], "entry 1: a name is"),
        ([entry(sha256="A" * 64)], "entry 1: sha256 is"),
        ([entry(sha256=None)], "entry 1: sha256 is"),
        ([entry(read="a/")], "entry 1: read is a list"),
        ([entry(write=[1])], "entry 1: write is a list"),
        ([entry(read=["a//"])], "entry 1: a key is"),
        ([entry(), entry(sha256="b" * 64)], "two entries have the same"),
        ([entry(), entry(name="bob")], "two entries have the same"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(file, content, told):
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(BadSetting) as caught:
        tokens.load(file)
    assert (str(file) in caught.value.detail, told in caught.value.detail) == (True, True), (
        caught.value.detail
    )
    assert DIGEST not in caught.value.detail


def test_scopes_may_be_left_out(file):
    file.write_text(json.dumps([{"name": "ann", "sha256": tokens.digest("x")}]))
    assert tokens.load(file).caller("x") == Caller("ann", (), ())


def test_no_file(file):
    with pytest.raises(BadSetting, match="No such file"):
        tokens.load(file)


# Files that are watched


def text(file):
    def load():
        content = file.read_text()
        if "bad" in content:
            raise BadSetting(f"{file}: it is {content}")
        return content

    return load


@pytest.fixture
def watched(file):
    file.write_text("first")
    watched = Watched([file], text(file), period=0.005)
    watched.start()
    yield watched
    watched.stop()


def test_a_change_is_taken_and_a_bad_one_leaves_the_old(watched, file, caplog):
    caplog.set_level("INFO")
    file.write_text("second one")
    wait_until(lambda: watched.value == "second one")
    file.write_text("a bad one")
    wait_until(lambda: watched.fault)
    assert (watched.value, "a bad one; what was there before stays" in watched.fault) == ("second one", True)
    os.utime(file, (1, 1))
    file.write_text("third")
    wait_until(lambda: watched.value == "third")
    assert watched.fault is None
    assert caplog.text.count("WARNING") <= 2
    assert "loaded again" in caplog.text


def test_a_file_that_goes_and_comes_back(watched, file):
    file.unlink()
    wait_until(lambda: watched._seen == [None], what="the loss to be seen")
    assert watched.value == "first"
    file.write_text("again")
    wait_until(lambda: watched.value == "again")


def test_a_fault_of_ours_does_not_end_it(file, caplog):
    outcomes = ["first"]

    def load():
        return outcomes.pop()

    file.write_text("1")
    watched = Watched([file], load, period=0.005)
    watched.start()
    file.write_text("22")
    wait_until(lambda: "could not be looked after" in caplog.text)
    outcomes.append("second")
    file.write_text("333")
    wait_until(lambda: watched.value == "second")
    watched.stop()
    watched.stop()


def test_what_cannot_be_used_at_first_is_not_taken(file):
    file.write_text("bad")
    with pytest.raises(BadSetting):
        Watched([file], text(file))
