"""Files that only one version has."""

from __future__ import annotations

import pytest

from app.balance.rescue import LONGEST, REMEMBERED, Rescue
from app.config.model import RescueConfig

JS = b"/assets/app.3f2a.js"
ONE = RescueConfig(suffixes=(".js", "/favicon.ico"), remember=60.0)


@pytest.mark.parametrize(
    ("method", "path", "worth_it"),
    [
        (b"GET", JS, True),
        (b"HEAD", JS, True),
        (b"POST", JS, False),
        (b"GET", b"/favicon.ico", True),
        (b"GET", b"/page", False),
        (b"GET", b"/app.js/", False),
        (b"GET", b"/" + b"x" * LONGEST + b".js", False),
    ],
)
def test_what_the_other_version_is_asked_for(method: bytes, path: bytes, worth_it: bool) -> None:
    assert Rescue(ONE).is_worth_it(method, path, 0.0) is worth_it


def test_who_has_a_path_is_remembered_for_a_while() -> None:
    rescue = Rescue(ONE)
    assert rescue.home(b"GET", JS, 0.0) == ""
    rescue.remember(JS, "canary", 0.0)
    assert [rescue.home(b"GET", JS, now) for now in (0.0, 59.9, 60.0)] == ["canary", "canary", ""]
    assert rescue.home(b"POST", JS, 0.0) == ""
    assert rescue.is_worth_it(b"GET", JS, 0.0)  # the version remembered may have lost it
    rescue.remember(JS, "stable", 1.0)
    assert rescue.home(b"GET", JS, 2.0) == "stable"


def test_what_neither_has_is_not_asked_for_again_for_a_while() -> None:
    rescue = Rescue(ONE)
    rescue.remember(JS, "", 0.0)
    assert rescue.home(b"GET", JS, 0.0) == ""
    assert [rescue.is_worth_it(b"GET", JS, now) for now in (0.0, 59.9, 60.0)] == [False, False, True]


def test_the_oldest_is_forgotten_first() -> None:
    rescue, paths = Rescue(ONE), [b"/%d.js" % number for number in range(REMEMBERED + 1)]
    for path in paths[:-1]:
        rescue.remember(path, "canary", 0.0)
    rescue.remember(paths[0], "canary", 0.0)
    rescue.remember(paths[-1], "canary", 0.0)
    known = [path for path in paths if rescue.home(b"GET", path, 0.0)]
    assert known == [paths[0], *paths[2:]]


def test_the_common_suffixes_are_those_of_files() -> None:
    rescue = Rescue(RescueConfig())
    assert rescue.is_worth_it(b"GET", b"/main.css", 0.0)
    assert not rescue.is_worth_it(b"GET", b"/api/users", 0.0)
