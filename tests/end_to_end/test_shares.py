"""Who gets the canary: exact shares, and visitors who stay where they were."""

from __future__ import annotations

import pytest
from gevent.pool import Pool

from tests.support.client import Client
from tests.support.stack import Stack

pytestmark = pytest.mark.end_to_end

CLIENTS = 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def by_several_clients(stack, ask, things):
    """`ask(client, thing)` of each thing, in their order, by CLIENTS connections at once."""

    def share(number):
        with Client(stack.address) as client:
            return [ask(client, thing) for thing in things[number::CLIENTS]]

    shares = Pool(CLIENTS).map(share, range(CLIENTS))
    answers = [None] * len(things)
    for number, answered in enumerate(shares):
        answers[number::CLIENTS] = answered
    return answers


def test_the_canary_gets_its_exact_share(stack):
    exact = {"style": "ratio", "ratio": 0.05, "sticky_sessions": False}
    stack.wait_in_force(stack.patch_config(exact)["etag"])
    versions = by_several_clients(stack, lambda client, _: client.version(), range(10_000))
    assert abs(versions.count("canary") - 500) <= 1
    assert versions.count("stable") + versions.count("canary") == 10_000


def canary_visitors(stack, visitors, ratio):
    """Those of the visitors who are on the canary when this is the ratio."""
    stack.wait_in_force(stack.patch_config({"ratio": ratio, "sticky_sessions": True})["etag"])
    answers = by_several_clients(stack, lambda client, who: client.get(visitor=who), visitors)
    assert {answer.visitor for answer in answers} == {None}  # who has an id keeps it
    return {who for who, answer in zip(visitors, answers, strict=True) if answer.version == "canary"}


def test_visitors_stay_where_they_were(stack):
    stack.wait_in_force(stack.patch_config({"ratio": 0.05, "sticky_sessions": True})["etag"])
    first = by_several_clients(stack, lambda client, _: client.get(), range(1000))
    visitors = [answer.visitor for answer in first]
    assert len(set(visitors)) == 1000
    on_canary = {answer.visitor for answer in first if answer.version == "canary"}
    assert 15 <= len(on_canary) <= 100  # 50 within five standard deviations of 6.9
    assert canary_visitors(stack, visitors, 0.05) == on_canary
    more = canary_visitors(stack, visitors, 0.2)
    assert more > on_canary
    assert 137 <= len(more) <= 263  # 200 within five of 12.6
    assert canary_visitors(stack, visitors, 0.05) == on_canary
