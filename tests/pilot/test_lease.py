from __future__ import annotations

import pytest

from app.config.keys import KeyClient, Write
from app.errors import ConfigConflict
from app.pilot.lease import Lease


def test_one_leads_until_it_lets_go(keys: KeyClient) -> None:
    one, other = Lease(keys, "shop", "one"), Lease(keys, "shop", "other")
    assert (one.hold(), other.hold(), one.hold()) == (True, False, True)
    assert other.holder() == "one"
    one.release()
    assert other.holder() is None
    assert (other.hold(), one.hold()) == (True, False)


def test_who_has_lost_it_writes_nothing(keys: KeyClient) -> None:
    one, other = Lease(keys, "shop", "one"), Lease(keys, "shop", "other")
    assert one.hold()
    lost = one.etag
    assert lost
    one.release()
    assert other.hold()
    with pytest.raises(ConfigConflict):
        keys.transact({one.key: lost, "shop/rollout": "0"}, "shop/rollout", {}, Write())


def test_a_lease_that_went_is_taken_again(keys: KeyClient) -> None:
    lease = Lease(keys, "shop", "one")
    assert lease.hold()
    keys.delete(lease.key)  # as when the config server restarts
    assert (lease.hold(), lease.hold()) == (False, True)
