"""Which requests name their version themselves."""

from __future__ import annotations

import pytest

from app.balance.overrides import Overrides
from app.config.model import Override
from tests.balance.helpers import ANYONE, Request

HEADER = Override("header", "X-Version", None, "canary")
SECRET = Override("header", "X-Version", "s3cret", "canary")
COOKIE = Override("cookie", "Beta", "yes", "canary")
QUERY = Override("query", "beta", None, "canary")
PATH = Override("path_prefix", "/beta", None, "canary")
PATH_SECRET = Override("path_prefix", "/try/", "s3cret", "canary")


@pytest.mark.parametrize(
    ("override", "request_"),
    [
        (HEADER, Request(headers={b"x-version": b""})),
        (SECRET, Request(headers={b"x-version": b"s3cret"})),
        (COOKIE, Request(cookies={b"Beta": b"yes"})),
        (QUERY, Request(fields={b"beta": b""})),
        (Override("query", "beta", "größer", "canary"), Request(fields={b"beta": "größer".encode()})),
        (PATH, Request(path=b"/beta")),
        (PATH, Request(path=b"/beta/")),
        (PATH, Request(path=b"/beta/x")),
        (Override("path_prefix", "/", None, "canary"), Request(path=b"/anything")),
        (PATH_SECRET, Request(path=b"/try/s3cret")),
        (PATH_SECRET, Request(path=b"/try/s3cret/page")),
    ],
)
def test_a_request_that_shows_it_gets_the_version(override: Override, request_: Request) -> None:
    assert Overrides([override]).version(request_) == "canary"


@pytest.mark.parametrize(
    ("override", "request_"),
    [
        (HEADER, ANYONE),
        (SECRET, ANYONE),
        (SECRET, Request(headers={b"x-version": b"s3cre"})),
        (SECRET, Request(headers={b"x-version": b"S3CRET"})),
        (SECRET, Request(headers={b"x-version": b"s3cret2"})),
        (SECRET, Request(headers={b"x-version": b"\xff\x00"})),
        (COOKIE, Request(cookies={b"beta": b"yes"})),
        (QUERY, Request(fields={b"Beta": b""})),
        (PATH, Request(path=b"/betamax")),
        (PATH, Request(path=b"/a/beta")),
        (PATH, Request(path=b"*")),
        (PATH_SECRET, Request(path=b"/try")),
        (PATH_SECRET, Request(path=b"/try/")),
        (PATH_SECRET, Request(path=b"/try/s3cret2")),
        (PATH_SECRET, Request(path=b"/try/x/s3cret")),
    ],
)
def test_a_request_that_does_not_show_it_gets_none(override: Override, request_: Request) -> None:
    assert Overrides([override]).version(request_) is None


def test_the_first_match_wins() -> None:
    rules = Overrides([SECRET, Override("path_prefix", "/beta", None, "stable"), QUERY])
    both = Request(path=b"/beta", fields={b"beta": b"1"})
    assert rules.version(both) == "stable"
    assert rules.version(Request(path=b"/beta", headers={b"x-version": b"s3cret"})) == "canary"
