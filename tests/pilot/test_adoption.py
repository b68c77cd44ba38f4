from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from app.config.keys import KeyClient, Written
from app.pilot.adoption import Adoption, Laggard, await_adoption
from app.pilot.instances import instances
from tests.support.keys import put, reported

WRITTEN = Written("9-0123456789ab", 9, changed=True)
IN_STEP: dict[str, Any] = {"etag": WRITTEN.etag, "revision": 9}
BEHIND: dict[str, Any] = {"etag": "8-ba9876543210", "revision": 8}


def report(keys: KeyClient, name: str, **config: Any) -> None:
    put(keys, f"shop/instances/{name}", reported(**config))


def adoption(keys: KeyClient, seconds: float) -> Adoption:
    return await_adoption(keys, "shop", WRITTEN, since=time.monotonic(), seconds=seconds)


def test_all_apply_it_already(keys: KeyClient) -> None:
    report(keys, "a", **IN_STEP)
    report(keys, "b", etag="12-001122334455", revision=12)
    found = adoption(keys, 5.0)
    assert (found.complete, found.instances) == (True, 2)
    assert str(found).startswith("applied by 2 of 2 instances in ")


def test_waits_for_the_last(keys: KeyClient) -> None:
    report(keys, "a", **IN_STEP)
    report(keys, "b", **BEHIND)
    waiting = gevent.spawn(adoption, keys, 10.0)
    gevent.sleep(0.05)
    assert not waiting.ready()
    report(keys, "b", **IN_STEP)
    assert waiting.get(timeout=5).complete


def test_tells_when_the_last_applied_it_not_when_it_said_so(keys: KeyClient) -> None:
    put(keys, "shop/instances/a", reported(**IN_STEP) | {"applied": 59.75})
    put(keys, "shop/instances/b", reported(**IN_STEP) | {"applied": 59.25})
    found = await_adoption(keys, "shop", WRITTEN, since=time.monotonic() - 60.0, seconds=90.0)
    assert 0.75 <= found.seconds < 10.0


def test_names_the_laggards(keys: KeyClient) -> None:
    report(keys, "a", **IN_STEP)
    report(keys, "b", **BEHIND)
    report(keys, "c")
    found = adoption(keys, 0.05)
    assert not found.complete
    assert [(each.id, each.why) for each in found.laggards] == [
        ("b", "is still at revision 8"),
        ("c", "has no config yet"),
    ]
    assert "applied by 1 of 3 instances after 0." in str(found)
    assert str(found).endswith("; here:7 is still at revision 8; here:7 has no config yet")


def test_does_not_wait_for_who_rejects_it(keys: KeyClient) -> None:
    report(keys, "a", **BEHIND, rejected={"etag": WRITTEN.etag, "faults": {"stable": "no file"}})
    found = adoption(keys, 60.0)
    assert found.laggards == (Laggard("a", "here:7", "rejects it: stable: no file", final=True),)


def test_waits_for_who_rejected_another(keys: KeyClient) -> None:
    report(keys, "a", **BEHIND, rejected={"etag": "5-0", "faults": {}})
    assert [each.final for each in adoption(keys, 0.02).laggards] == [False]


def test_whoever_is_on_the_way_out_does_not_count(keys: KeyClient) -> None:
    report(keys, "a", **IN_STEP)
    report(keys, "b", **BEHIND, draining=True)
    assert adoption(keys, 5.0).complete


def test_where_nobody_lives_nobody_applies(keys: KeyClient) -> None:
    found = adoption(keys, 0.02)
    assert not found.complete
    assert str(found) == "applied by nobody: no instance reports"


ODD: tuple[Any, ...] = (
    {},
    [],
    1,
    {"workers": []},
    {"host": "x", "workers": [{"pid": 1}]},
    reported() | {"applied": "x"},
)


@pytest.mark.parametrize("value", ODD)
def test_a_report_that_cannot_be_read_is_left_out(keys: KeyClient, value: Any) -> None:
    put(keys, "shop/instances/odd", value)
    report(keys, "a", **IN_STEP)
    assert [each.id for each in instances(keys, "shop")] == ["a"]
